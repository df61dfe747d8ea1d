"""Merging: one box for each face."""

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


def test_boxes_of_one_face_are_merged_into_the_most_confident() -> None:
    found = merge(detections((10, 10, 50, 50, 0.8)), detections((12, 10, 52, 50, 0.9), (11, 11, 49, 49, 0.7)))

    assert as_rows(found) == [[12, 10, 52, 50, 0.9]]


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
