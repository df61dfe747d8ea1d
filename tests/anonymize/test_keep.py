"""Faces in boxes to keep are not redacted, and all others are."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.anonymize.support import BOXES, FAST, SOLID_BOXES, keeping, pixels_of, without
from tests.support.pictures import encode
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.plan import group_by_face
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.runtime.engine import Engine
from visage.settings import Settings


def test_a_face_in_a_box_to_keep_is_not_redacted(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, keeping((250, 170, 340, 280)))

    assert [face.box for face in anonymized.faces if face.kept] == [Box(240, 176, 336, 272)]
    assert anonymized.redacted == 2
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, BOXES[0], BOXES[2]))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 384, 384), (0, 0, 40, 40), (48, 144, 144, 240)],
    ids=["around all faces", "outside all faces", "between two faces"],
)
def test_a_box_that_fits_no_face_keeps_none(engine: Engine, tiny_png: bytes, box: tuple[int, int, int, int]) -> None:
    assert engine.anonymize(tiny_png, keeping(box)).redacted == 3


HEAD, MOUTH, BEHIND = (0, 0, 100, 130), (20, 70, 80, 128), (45, 0, 145, 130)

Crowd = Callable[..., NDArray[np.bool_]]


@pytest.fixture
def crowd(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Return which of 200 x 200 pixels are redacted if the detector finds a head, its mouth and a person behind."""

    def redacted_pixels(confidences: tuple[float, float, float], *keep: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        found = Detections(np.array([HEAD, MOUTH, BEHIND], np.float32), np.array(confidences, np.float32))
        monkeypatch.setattr(FaceDetector, "detect", lambda *_: found)
        photo = encode(np.full((200, 200, 3), 200, np.uint8), "PNG")
        return np.asarray((pixels_of(engine.anonymize(photo, keeping(*keep)).picture) == 0).all(axis=2))

    return redacted_pixels


@pytest.mark.parametrize("confidences", [(0.7, 0.9, 0.6), (0.9, 0.7, 0.6), (0.6, 0.6, 0.9)])
def test_all_overlapping_boxes_are_redacted(crowd: Crowd, confidences: tuple[float, float, float]) -> None:
    redacted = crowd(confidences)

    assert redacted[0:130, 0:145].all()
    assert redacted.sum() == 130 * 145


def test_a_person_partly_behind_a_kept_face_is_redacted(crowd: Crowd) -> None:
    redacted = crowd((0.9, 0.7, 0.6), HEAD)

    assert redacted[0:130, 45:145].all()
    assert redacted.sum() == 130 * 100


def test_an_uncertain_box_around_several_faces_is_listed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, group: tuple[bytes, Detections]
) -> None:
    photo, found = group
    monkeypatch.setattr(FaceDetector, "detect", lambda *_: found)

    faces = engine.anonymize(photo, FAST).faces

    assert [face.box.corners for face in faces] == [(0, 0, 200, 190), (10, 10, 90, 110), (110, 10, 190, 110)]


def test_a_photo_whose_faces_are_all_kept_stays_as_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, group: tuple[bytes, Detections]
) -> None:
    photo, found = group
    monkeypatch.setattr(FaceDetector, "detect", lambda *_: found)
    faces = engine.anonymize(photo, FAST).faces

    anonymized = engine.anonymize(photo, keeping(*(face.box.corners for face in faces)))

    assert anonymized.redacted == 0
    assert np.array_equal(pixels_of(anonymized.picture), pixels_of(photo))


@pytest.mark.parametrize("detail", Detail)
def test_a_real_photo_whose_faces_are_all_kept_stays_as_it_is(
    photo_engine: Engine, both: bytes, detail: Detail
) -> None:
    options = AnonymizeOptions(SOLID_BOXES, detail=detail)
    faces = photo_engine.anonymize(both, options).faces

    kept = photo_engine.anonymize(both, replace(options, keep=tuple(face.box for face in faces)))

    assert (len(kept.faces), kept.redacted) == (len(faces), 0)
    assert np.array_equal(pixels_of(kept.picture), pixels_of(both))


@pytest.fixture(scope="module")
def photo_engine() -> Engine:
    return Engine(Settings(pack="compact"), eager=False)


@pytest.fixture(scope="module")
def both(photos: Path) -> bytes:
    """Two people in whose picture the detector takes hands, a tie and a fifth of the area for faces, without loss."""
    return encode(np.asarray(cv2.imread(str(photos / "obama_and_biden.jpg"))).astype(np.uint8), "PNG")


@pytest.fixture
def group() -> tuple[bytes, Detections]:
    """A grey photo, and what the detector finds in it: two faces, a part of one, and an uncertain box around all."""
    boxes = np.array([(10, 10, 90, 110), (30, 60, 70, 100), (110, 10, 190, 110), (0, 0, 200, 190)], np.float32)
    found = Detections(boxes, np.array((0.9, 0.6, 0.8, 0.3), np.float32))
    return encode(np.full((200, 200, 3), 200, np.uint8), "PNG"), found


def test_two_boxes_to_keep_around_the_same_face_keep_one(engine: Engine, tiny_png: bytes) -> None:
    assert engine.anonymize(tiny_png, keeping((240, 176, 336, 272), (241, 177, 335, 271))).redacted == 2


def test_boxes_to_keep_are_ignored_in_a_photo_without_faces(engine: Engine) -> None:
    grey = encode(np.full((50, 70, 3), 127, np.uint8), "PNG")

    anonymized = engine.anonymize(grey, keeping((1, 1, 30, 30)))

    assert anonymized.faces == ()
    assert (pixels_of(anonymized.picture) == 127).all()


def test_thousands_of_boxes_are_divided_in_bounded_memory() -> None:
    """One matrix of 4,000 x 4,000 overlaps takes 64 MB, and several are needed at a time."""
    corners = np.random.default_rng(0).uniform(0, 4000, (4000, 2))
    boxes = np.hstack([corners, corners + 8]).astype(np.float32)
    tracemalloc.start()

    groups = group_by_face(Detections(boxes, np.full(4000, 0.9, np.float32)))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(groups) > 3000
    assert peak < 100e6
