"""Crops of turned faces: landmarks say by how much, and the crop shows the face upright."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.landmark_pack import LANDMARKS_OF_A_FACE
from visage.faces.analyzer import Analyzer
from visage.faces.face import Face
from visage.images.decoding import Photo
from visage.nets.classifier import Classifier, classify_by_all
from visage.nets.crops import shift_box, square_crop, turn_angles
from visage.nets.detections import Detections
from visage.packs.pack import find_pack, read_pack

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# The box of the face in the photo of the astronaut, as `compact` finds it.
ASTRONAUT = np.array([177, 62, 269, 174], np.float32)


def upright_face(box: Floats) -> Detections:
    points = box[:2] + LANDMARKS_OF_A_FACE * (box[2:] - box[:2])
    return Detections(box[None], np.ones(1, np.float32), points[None].astype(np.float32))


def turned(pixels: Pixels, found: Detections, degrees: float) -> tuple[Pixels, Detections]:
    """The picture turned clockwise around the middle of its one face, which keeps its size, and the face in it.

    The box has the same longer side, as that of a detector that takes the face for an ellipse nearly has.
    """
    # The centre of the first pixel is at 0 to OpenCV and at 0.5 in boxes and landmarks.
    x, y = ((found.boxes[0, :2] + found.boxes[0, 2:]) / 2 - 0.5).tolist()
    # OpenCV's angles are counterclockwise.
    move = cv2.getRotationMatrix2D((x, y), -degrees, 1)
    height, width = pixels.shape[:2]
    rotated = cv2.warpAffine(pixels, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    assert found.landmarks is not None
    points = ((found.landmarks - 0.5) @ move[:, :2].T + move[:, 2] + 0.5).astype(np.float32)
    return rotated.astype(np.uint8, copy=False), Detections(found.boxes, found.confidences, points)


@pytest.mark.parametrize("degrees", [-170, -90, -40, -9, 9, 40, 90, 170])
def test_the_angle_is_that_of_the_line_from_eyes_to_mouth(degrees: float) -> None:
    _, found = turned(np.zeros((400, 400, 3), np.uint8), upright_face(ASTRONAUT), degrees)

    np.testing.assert_allclose(turn_angles(found), [np.radians(degrees)], atol=1e-4)


@pytest.mark.parametrize("degrees", [-7, -3, 0, 3, 7])
def test_nearly_upright_faces_are_not_turned(degrees: float) -> None:
    _, found = turned(np.zeros((400, 400, 3), np.uint8), upright_face(ASTRONAUT), degrees)

    assert turn_angles(found).tolist() == [0]


def test_faces_whose_eyes_and_mouth_are_at_one_place_are_not_turned() -> None:
    found = upright_face(ASTRONAUT)
    together = np.full((1, 5, 2), 120, np.float32)
    together[0, 3:, 0] += 5

    assert turn_angles(Detections(found.boxes, found.confidences, together)).tolist() == [0]


def test_faces_without_landmarks_are_not_turned() -> None:
    assert turn_angles(Detections(ASTRONAUT[None], np.ones(1, np.float32))).tolist() == [0]


def test_without_faces_there_are_no_angles() -> None:
    assert turn_angles(upright_face(ASTRONAUT).select(np.zeros(0, np.intp))).shape == (0,)


@pytest.mark.parametrize("size", [(20, 20), (72, 72), (160, 160)])
@pytest.mark.parametrize("degrees", [-135, -90, -40, 25, 180])
def test_a_turned_face_gives_the_crop_of_the_upright_one(
    astronaut: Pixels, degrees: float, size: tuple[int, int]
) -> None:
    rotated, found = turned(astronaut, upright_face(ASTRONAUT), degrees)

    crop = square_crop(rotated, ASTRONAUT, 1.05, size, float(turn_angles(found)[0]))

    expected = square_crop(astronaut, ASTRONAUT, 1.05, size)
    assert crop.shape == expected.shape
    difference = cv2.absdiff(crop, expected).mean()
    assert difference < 5
    assert difference < 0.2 * cv2.absdiff(square_crop(rotated, ASTRONAUT, 1.05, size), expected).mean()


def test_a_turned_crop_beyond_the_image_repeats_its_edge() -> None:
    pixels = np.full((60, 80, 3), 90, np.uint8)

    crop = square_crop(pixels, np.array([-30, -30, 30, 30], np.float32), 1.5, (24, 16), 0.7)

    assert crop.shape == (16, 24, 3)
    assert (crop == 90).all()


def test_turning_does_not_change_the_pixels(astronaut: Pixels) -> None:
    before = astronaut.copy()

    square_crop(astronaut, ASTRONAUT, 1.05, (72, 72), 0.7)

    np.testing.assert_array_equal(astronaut, before)


def as_photo(pixels: Pixels) -> Photo:
    height, width = pixels.shape[:2]
    return Photo(pixels, width, height, 1.0)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(find_pack("compact"))


def difference(first: Face, second: Face) -> float:
    """The sum of the differences of all probabilities."""
    pairs = [
        (first.gender_probabilities, second.gender_probabilities),
        (first.age_probabilities, second.age_probabilities),
    ]
    return sum(abs(one[label] - other[label]) for one, other in pairs for label in one)


@pytest.mark.parametrize("degrees", [-90, 40])
@pytest.mark.parametrize("name", ["biden.jpg", "obama.jpg"])
def test_gender_and_age_of_a_tilted_head_are_those_of_the_upright_one(
    analyzer: Analyzer, photos: Path, name: str, degrees: float
) -> None:
    pixels = np.asarray(cv2.imread(str(photos / name), cv2.IMREAD_COLOR), np.uint8)
    detected = analyzer.detector.detect(pixels, (480, 480))
    found = upright_face(detected.boxes[detected.confidences.argmax()])
    rotated, tilted = turned(pixels, found, degrees)

    (face,) = analyzer.describe(as_photo(rotated), tilted)

    (expected,) = analyzer.describe(as_photo(pixels), found)
    (as_it_is,) = analyzer.describe(as_photo(rotated), Detections(tilted.boxes, tilted.confidences))
    assert face.gender == expected.gender
    assert face.age_years == pytest.approx(expected.age_years, abs=6)
    assert difference(face, expected) < difference(as_it_is, expected)


def test_nearly_upright_faces_are_described_exactly_as_without_landmarks(analyzer: Analyzer, astronaut: Pixels) -> None:
    rotated, found = turned(astronaut, upright_face(ASTRONAUT), 6)
    photo = as_photo(rotated)

    (face,) = analyzer.describe(photo, found)

    (plain,) = analyzer.describe(photo, Detections(found.boxes, found.confidences))
    assert face.landmarks is not None
    assert (face.gender_probabilities, face.age_probabilities) == (plain.gender_probabilities, plain.age_probabilities)


@pytest.mark.parametrize(("degrees", "expected"), [(0, (0, 10)), (90, (-10, 0)), (180, (0, -10)), (-90, (10, 0))])
def test_a_box_is_shifted_towards_the_chin(degrees: float, expected: tuple[float, float]) -> None:
    shifted = shift_box(ASTRONAUT, 10 / 112, float(np.radians(degrees)))

    np.testing.assert_allclose(shifted - ASTRONAUT, [*expected, *expected], atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_classifier_sees_the_crop_that_its_manifest_shifts(tiny_pack: Path, angle: float) -> None:
    spec = read_pack(tiny_pack).gender
    pixels, angles = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8), np.array([angle], np.float32)
    box = np.array([60, 60, 120, 140], np.float32)

    (found,) = classify_by_all([Classifier(replace(spec, crop_shift=0.1))], pixels, box[None], angles)

    (expected,) = classify_by_all([Classifier(spec)], pixels, shift_box(box, 0.1, angle)[None], angles)
    np.testing.assert_allclose(found, expected, atol=1e-6)
