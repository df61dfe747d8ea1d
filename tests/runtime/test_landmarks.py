"""Landmarks of faces, from packs whose detector gives them."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.runtime.cache.caching import DictStore, caching_engine, without_timings
from tests.support.landmark_pack import LANDMARKS_OF_A_FACE, write_landmark_pack
from tests.support.pictures import as_stored, exif, with_exif
from tests.support.tiny_pack import BLUISH, MAGENTA, TINY_FACES, draw
from visage.faces.face import Face
from visage.faces.results import face_as_json
from visage.runtime.engine import Engine
from visage.settings import Settings


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_landmark_pack(tmp_path_factory.mktemp("packs") / "landmarks")


@pytest.fixture(scope="module")
def landmark_engine(pack: Path) -> Engine:
    return Engine(Settings(pack=str(pack), slots=1))


def assert_landmarks_are_in_place(face: Face, tolerance: float) -> None:
    assert face.landmarks is not None
    expected = np.array(face.box.corners[:2]) + LANDMARKS_OF_A_FACE * [face.box.width, face.box.height]
    np.testing.assert_allclose(face.landmarks.points, expected, atol=tolerance)


def test_every_face_has_five_named_points(landmark_engine: Engine, tiny_png: bytes) -> None:
    faces = {face.box.corners: face for face in landmark_engine.analyze(tiny_png).faces}

    assert faces.keys() == TINY_FACES.keys()
    # A quarter of 96 pixels is 24.
    landmarks = faces[48, 240, 144, 336].landmarks
    assert landmarks is not None
    assert landmarks.left_eye == pytest.approx((72, 276), abs=0.1)
    assert landmarks.right_eye == pytest.approx((120, 276), abs=0.1)
    assert landmarks.nose == pytest.approx((96, 288), abs=0.1)
    assert landmarks.left_mouth == pytest.approx((72, 312), abs=0.1)
    assert landmarks.right_mouth == pytest.approx((120, 312), abs=0.1)


def test_landmarks_of_a_photo_that_is_decoded_smaller_refer_to_the_original(landmark_engine: Engine) -> None:
    # 6144 pixels, so decoded at 1/4.
    faces = {(16 * x1, 16 * y1, 16 * x2, 16 * y2): colour for (x1, y1, x2, y2), colour in TINY_FACES.items()}
    photo = cv2.imencode(".jpg", draw(16 * 384, 16 * 384, faces))[1].tobytes()

    analysis = landmark_engine.analyze(photo)

    assert analysis.annotated_scale == 0.25
    assert len(analysis.faces) == 3
    for face in analysis.faces:
        assert_landmarks_are_in_place(face, tolerance=16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_landmarks_are_those_of_the_upright_photo(landmark_engine: Engine, orientation: int) -> None:
    upright = draw(384, 288, {(48, 112, 144, 208): MAGENTA})
    jpeg = cv2.imencode(".jpg", as_stored(upright, orientation))[1].tobytes()

    (face,) = landmark_engine.analyze(with_exif(jpeg, exif(orientation))).faces

    np.testing.assert_allclose(face.box.corners, [48, 112, 144, 208], atol=2)
    assert_landmarks_are_in_place(face, tolerance=1)


def test_landmarks_are_cached(pack: Path, tiny_png: bytes) -> None:
    engine = caching_engine(pack, DictStore())

    first, second = engine.analyze(tiny_png), engine.analyze(tiny_png)

    assert second.cached
    assert without_timings(second) == without_timings(first)
    assert all(face.landmarks for face in second.faces)


def test_the_json_has_the_points_with_one_decimal_in_their_order(landmark_engine: Engine) -> None:
    photo = cv2.imencode(".png", draw(faces={(48, 48, 144, 144): BLUISH}))[1].tobytes()

    (face,) = landmark_engine.analyze(photo).faces

    points = face_as_json(face)["landmarks"]
    assert points == [[72.0, 84.0], [120.0, 84.0], [96.0, 96.0], [72.0, 120.0], [120.0, 120.0]]


def test_without_landmarks_the_json_has_no_such_field(engine: Engine, tiny_png: bytes) -> None:
    face = engine.analyze(tiny_png).faces[0]

    assert face.landmarks is None
    assert "landmarks" not in face_as_json(face)
