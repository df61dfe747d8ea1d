"""A net without anchors: its maps become boxes and landmarks in pixels of the photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.landmark_pack import LANDMARKS_OF_A_FACE, write_landmark_pack
from tests.support.tiny_pack import MAGENTA, TINY_FACES, draw
from visage.errors import PackError
from visage.faces.search import Detail, find_faces
from visage.nets.anchor_free import CELL_VALUES, decode_maps
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import FaceSpec, read_pack

STRIDES = (8, 16)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> FaceSpec:
    return read_pack(write_landmark_pack(tmp_path_factory.mktemp("packs") / "landmarks")).face


@pytest.fixture(scope="module")
def detector(spec: FaceSpec) -> FaceDetector:
    return FaceDetector(spec)


def background(rows: int, columns: int) -> NDArray[np.float32]:
    maps = np.zeros((1, CELL_VALUES, rows, columns), np.float32)
    maps[:, 0] = -9
    return maps


def face(logit: float, x: float, y: float, width: float, height: float) -> NDArray[np.float32]:
    """The values of a cell: centre and sides in strides; landmark k is k and -k strides from the cell's centre."""
    points = [(float(index), -float(index)) for index in range(5)]
    return np.array([logit, x, y, np.log(width), np.log(height), *sum(points, ())], np.float32)


def test_a_cell_gives_a_box_and_landmarks_relative_to_its_centre_in_strides() -> None:
    maps = [background(6, 8), background(3, 4)]
    maps[0][0, :, 2, 5] = face(0, 0.5, -0.25, 2, 3)

    found = decode_maps(maps, STRIDES)

    # The centre of the cell in row 2 and column 5 is at x 44 and y 20.
    np.testing.assert_allclose(found.confidences, [0.5])
    np.testing.assert_allclose(found.boxes, [[44 + 4 - 8, 20 - 2 - 12, 44 + 4 + 8, 20 - 2 + 12]])
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks, [[[44, 20], [52, 12], [60, 4], [68, -4], [76, -12]]])


def test_the_faces_of_all_strides_are_returned_most_confident_first() -> None:
    maps = [background(6, 8), background(3, 4)]
    maps[0][0, :, 0, 0] = face(1, 0, 0, 1, 1)
    maps[1][0, :, 2, 3] = face(2, 0, 0, 1, 1)

    found = decode_maps(maps, STRIDES)

    np.testing.assert_allclose(found.boxes, [[48, 32, 64, 48], [0, 0, 8, 8]], atol=1e-5)
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[:, 0], [[56, 40], [4, 4]])


def two_cells_of_one_face(logit: float) -> list[NDArray[np.float32]]:
    """The second of the cells is sure. Their landmarks lie a quarter of a box apart."""
    maps = [background(6, 8), background(3, 4)]
    maps[0][0, :, 2, 2] = face(logit, 0, 0, 4, 4)
    maps[0][0, :, 2, 3] = face(3, -0.8, 0, 4, 4)
    return maps


def test_of_overlapping_boxes_the_most_confident_stays() -> None:
    found = decode_maps(two_cells_of_one_face(1), STRIDES)

    # The centre of the second cell is at x 28.
    np.testing.assert_allclose(found.boxes, [[28 - 6.4 - 16, 20 - 16, 28 - 6.4 + 16, 20 + 16]], rtol=1e-6)


def test_the_landmarks_of_a_face_are_the_mean_of_those_of_its_cells() -> None:
    found = decode_maps(two_cells_of_one_face(3), STRIDES)

    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[:, 0], [[(20 + 28) / 2, 20]])


def test_the_landmarks_of_an_unlikely_box_are_those_of_its_cell() -> None:
    maps = two_cells_of_one_face(3)
    maps[0][0, 0] -= 4

    found = decode_maps(maps, STRIDES)

    assert found.landmarks is not None
    assert found.confidences.max() < 0.3
    np.testing.assert_allclose(found.landmarks[:, 0], [[20, 20]])


def test_maps_of_background_give_empty_arrays() -> None:
    found = decode_maps([background(6, 8), background(3, 4)], STRIDES)

    assert found.boxes.shape == (0, 4)
    assert found.confidences.shape == (0,)
    assert found.landmarks is not None
    assert found.landmarks.shape == (0, 5, 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("side", [1e4, np.inf, -1e4, np.nan])
def test_wild_sides_do_not_overflow(side: float) -> None:
    maps = [background(6, 8), background(3, 4)]
    maps[0][0, :, 2, 2] = face(1, 0, 0, 1, 1)
    maps[0][0, 3, 2, 2] = side

    found = decode_maps(maps, STRIDES)

    assert len(found.boxes) == 1


@pytest.mark.parametrize(("width", "height"), [(384, 384), (1536, 1536), (1537, 769)])
def test_the_detector_returns_landmarks_in_pixels_of_the_image(detector: FaceDetector, width: int, height: int) -> None:
    """One cell of the tiny net covers the pixels 64 to 80 of 96, and its box the pixels 60 to 84."""
    x1, y1, x2, y2 = (round(side * edge / 96) for edge in (60, 84) for side in (width, height))

    found = detector.detect(draw(width, height, {(x1, y1, x2, y2): MAGENTA}), (96, 96))

    best = found.confidences.argmax()
    assert found.landmarks is not None
    np.testing.assert_allclose(found.boxes[best], [x1, y1, x2, y2], atol=3.5)
    expected = np.array([x1, y1]) + LANDMARKS_OF_A_FACE * [x2 - x1, y2 - y1]
    np.testing.assert_allclose(found.landmarks[best], expected, atol=3.5)


def test_landmarks_in_a_padded_strip_are_in_their_face(detector: FaceDetector) -> None:
    strip = draw(960, 120, {(360, 0, 480, 120): MAGENTA})

    found = detector.detect(strip, (128, 16))

    best = found.confidences.argmax()
    assert found.landmarks is not None
    np.testing.assert_allclose(found.boxes[best], [330, 0, 510, 120], atol=1)
    # The box is clamped to the strip; the landmarks lie in the square that it was.
    np.testing.assert_allclose(found.landmarks[best], [330, -30] + LANDMARKS_OF_A_FACE * 180, atol=1)


# `HIGH` adds boxes of turned photos, in which the landmarks of this net lie elsewhere.
@pytest.mark.parametrize("detail", [Detail.FAST, Detail.AUTO])
def test_the_search_keeps_landmarks_and_boxes_together(detector: FaceDetector, spec: FaceSpec, detail: Detail) -> None:
    found = find_faces(detector, spec, draw(faces=TINY_FACES), detail)

    assert_landmarks_are_at_their_places(found.select(found.confidences > 0.5), at_least=3)


def test_landmarks_found_in_a_tile_are_in_pixels_of_the_photo(detector: FaceDetector, spec: FaceSpec) -> None:
    # The last pass has four tiles. Only in that pass the square is large enough.
    photo = draw(3000, 3000, {(2680, 2680, 2780, 2780): MAGENTA})

    found = find_faces(detector, replace(spec, smallest_face=20), photo, Detail.HIGH)

    assert_landmarks_are_at_their_places(found.select(found.confidences > 0.1), at_least=1)


def assert_landmarks_are_at_their_places(found: Detections, at_least: int) -> None:
    assert len(found.boxes) >= at_least
    assert found.landmarks is not None
    corners, sides = found.boxes[:, None, :2], found.boxes[:, None, 2:] - found.boxes[:, None, :2]
    np.testing.assert_allclose(found.landmarks, corners + LANDMARKS_OF_A_FACE * sides, atol=0.1)


def test_a_missing_output_layer_is_named(spec: FaceSpec) -> None:
    with pytest.raises(PackError, match=r"face\.prototxt has no layer stride_32"):
        FaceDetector(replace(spec, strides=(16, 32)))


def test_a_net_with_another_output_is_an_error(tmp_path: Path) -> None:
    wrong = read_pack(write_landmark_pack(tmp_path, outputs=CELL_VALUES + 1)).face

    with pytest.raises(PackError, match=r"of the stride 16 has the shape \(1, 16, 6, 6\), not 15"):
        FaceDetector(wrong).detect(draw(), (96, 96))
