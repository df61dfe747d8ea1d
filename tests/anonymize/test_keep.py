"""Faces in boxes to keep are not redacted, and all others are."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.anonymize.support import BOXES, keeping, pixels_of, without
from tests.support.pictures import encode
from visage.images.boxes import Box
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.runtime.engine import Engine


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


def test_two_boxes_to_keep_around_the_same_face_keep_one(engine: Engine, tiny_png: bytes) -> None:
    assert engine.anonymize(tiny_png, keeping((240, 176, 336, 272), (241, 177, 335, 271))).redacted == 2


def test_boxes_to_keep_are_ignored_in_a_photo_without_faces(engine: Engine) -> None:
    grey = encode(np.full((50, 70, 3), 127, np.uint8), "PNG")

    anonymized = engine.anonymize(grey, keeping((1, 1, 30, 30)))

    assert anonymized.faces == ()
    assert (pixels_of(anonymized.picture) == 127).all()
