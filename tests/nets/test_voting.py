"""Voting: a face gets the mean box and the mean landmarks of its detections."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from visage.nets.detections import Detections
from visage.nets.voting import vote

# Two detections of one face with weights of 1 to 3, and one of another face.
FOUND = Detections(
    np.array([[10, 10, 50, 50], [14, 10, 54, 50], [200, 10, 240, 50]], np.float32),
    np.array([0.75, 0.25, 0.6], np.float32),
)
KEPT = np.array([0, 2])
UPRIGHT = np.array([[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]], np.float32)


def with_landmarks(*points: NDArray[np.float32]) -> Detections:
    return replace(FOUND, landmarks=np.stack(points).astype(np.float32))


def test_the_box_of_a_face_is_the_mean_weighted_by_confidence() -> None:
    voted = vote(FOUND, KEPT)

    assert voted.boxes.tolist() == [[11, 10, 51, 50], [200, 10, 240, 50]]
    assert voted.confidences.tolist() == FOUND.confidences[KEPT].tolist()
    assert voted.landmarks is None


def test_the_landmarks_of_a_face_are_the_mean_weighted_by_confidence() -> None:
    voted = vote(with_landmarks(UPRIGHT, UPRIGHT + 4, UPRIGHT + 190), KEPT)

    assert voted.landmarks is not None
    assert voted.landmarks.tolist() == [(UPRIGHT + 1).tolist(), (UPRIGHT + 190).tolist()]


def test_landmarks_that_are_named_in_another_order_are_left_out() -> None:
    upside_down = UPRIGHT[[4, 3, 2, 1, 0]]

    voted = vote(with_landmarks(UPRIGHT, upside_down, UPRIGHT), KEPT)

    assert voted.landmarks is not None
    assert voted.landmarks[0].tolist() == UPRIGHT.tolist()
    assert voted.boxes[0].tolist() == [11, 10, 51, 50]


def test_a_detection_without_an_area_or_confidence_stays_as_it_is() -> None:
    flat = Detections(np.array([[10, 10, 10, 50]], np.float32), np.zeros(1, np.float32), UPRIGHT[None])

    voted = vote(flat, np.array([0]))

    assert voted.landmarks is not None
    assert voted.boxes.tolist() == flat.boxes.tolist()
    assert voted.landmarks[0].tolist() == UPRIGHT.tolist()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wild", [np.inf, np.nan])
def test_a_landmark_that_is_no_number_spoils_no_other_detection(wild: float) -> None:
    odd = UPRIGHT.copy()
    odd[0, 0] = wild

    voted = vote(with_landmarks(UPRIGHT, odd, UPRIGHT), KEPT)

    assert voted.landmarks is not None
    assert voted.landmarks[0].tolist() == UPRIGHT.tolist()


def test_without_detections_the_result_is_empty() -> None:
    nothing = with_landmarks(UPRIGHT, UPRIGHT, UPRIGHT).select(np.zeros(0, np.intp))

    voted = vote(nothing, np.zeros(0, np.intp))

    assert voted.landmarks is not None
    assert (voted.boxes.shape, voted.landmarks.shape) == ((0, 4), (0, 5, 2))


def test_a_crowd_is_compared_in_blocks() -> None:
    left = np.arange(600, dtype=np.float32) * 100
    boxes = np.stack([left, 0 * left, left + 40, 0 * left + 40], axis=1)
    crowd = Detections(boxes, np.full(600, 0.5, np.float32))

    assert vote(crowd, np.arange(600)).boxes.tolist() == boxes.tolist()
