"""Merging: one box for each face."""

from dataclasses import replace

import numpy as np

from visage.faces.merging import merge
from visage.nets.detections import Detections


def detections(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4])


def as_rows(found: Detections) -> list[list[float]]:
    return [
        [*map(float, box), round(float(confidence), 3)]
        for box, confidence in zip(found.boxes, found.confidences, strict=True)
    ]


def test_boxes_of_one_face_become_their_average_at_the_highest_confidence() -> None:
    found = merge(detections((10, 10, 50, 50, 0.25)), detections((14, 10, 54, 50, 0.75)))

    assert as_rows(found) == [[13, 10, 53, 50, 0.75]]


def test_a_box_that_overlaps_less_does_not_move_the_average() -> None:
    found = merge(detections((0, 0, 100, 100, 0.9)), detections((0, 30, 100, 140, 0.8)))

    assert as_rows(found) == [[0, 0, 100, 100, 0.9]]


def test_landmarks_of_one_face_become_their_average() -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) + 20
    boxes = detections((10, 10, 50, 50, 0.25), (14, 10, 54, 50, 0.75))
    found = replace(boxes, landmarks=np.stack([points, points + 4]))

    merged = merge(found)

    assert merged.landmarks is not None
    assert merged.landmarks.tolist() == [(points + 3).tolist()]


def test_a_box_without_area_stays_as_it_is() -> None:
    found = merge(detections((10, 10, 10, 50, 0.7)))

    assert as_rows(found) == [[10, 10, 10, 50, 0.7]]


def test_adjacent_faces_are_not_merged() -> None:
    found = merge(detections((10, 10, 50, 50, 0.8), (45, 10, 85, 50, 0.9)))

    assert len(found.boxes) == 2


def test_a_box_inside_a_face_is_merged_into_it() -> None:
    found = merge(detections((0, 0, 100, 100, 0.9), (40, 60, 70, 90, 0.99)))

    assert as_rows(found) == [[0, 0, 100, 100, 0.99]]


def test_an_uncertain_box_around_confident_faces_is_dropped() -> None:
    found = merge(detections((0, 0, 100, 100, 0.3), (5, 5, 30, 30, 0.9), (60, 5, 90, 30, 0.95)))

    assert as_rows(found) == [[60, 5, 90, 30, 0.95], [5, 5, 30, 30, 0.9]]


def test_merging_passes_without_boxes_gives_no_box() -> None:
    found = merge(detections(), detections())

    assert found.boxes.shape == (0, 4)


def test_the_order_of_equally_confident_boxes_does_not_depend_on_the_input() -> None:
    rows = [(10.0, 10.0, 20.0, 20.0, 0.9), (50.0, 10.0, 60.0, 20.0, 0.9), (10.0, 50.0, 20.0, 60.0, 0.9)]

    assert as_rows(merge(detections(*rows))) == as_rows(merge(detections(*reversed(rows))))
