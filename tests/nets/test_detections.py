"""Detections as data: how boxes and landmarks follow when the image is turned."""

import numpy as np
import pytest

from visage.nets.detections import Detections


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_detections_of_a_turned_image_are_turned_back(turns: int) -> None:
    image = np.zeros((40, 60), np.uint8)
    image[5:15, 10:30] = 1
    rows, columns = np.nonzero(np.rot90(image, turns))
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)

    found = Detections(box, np.ones(1, np.float32)).turned_back(turns, 60, 40)

    assert found.boxes.tolist() == [[10, 5, 30, 15]]


@pytest.mark.parametrize(("turns", "point"), [(1, (5, 50)), (2, (50, 35)), (3, (35, 10))])
def test_landmarks_are_turned_back_with_their_box(turns: int, point: tuple[int, int]) -> None:
    landmarks = np.tile(np.array(point, np.float32), (1, 5, 1))
    box = np.array([[*point, point[0] + 1, point[1] + 1]], np.float32)

    found = Detections(box, np.ones(1, np.float32), landmarks).turned_back(turns, 60, 40)

    assert found.landmarks is not None
    assert found.landmarks[0].tolist() == [[10, 5]] * 5
