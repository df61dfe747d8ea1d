"""The distance of a pack's landmarks from the teachers'.

Needs torch's environment (training/requirements.txt); `make test-training` installs it.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="needs onnxruntime: make test-training installs it")

from training.detection.labels import Labels
from training.detection.landmarks import distances
from visage.nets.detections import Detections

BOX = np.array([10, 20, 50, 80], np.float32)
POINTS = np.array([[20, 40], [40, 40], [30, 50], [22, 65], [38, 65]], np.float32)
NO_BOXES = np.zeros((0, 4), np.float32)


def teachers(box: NDArray[np.float32] = BOX) -> Labels:
    return Labels(np.concatenate([box, POINTS.ravel()])[None], NO_BOXES)


def found(box: NDArray[np.float32], points: NDArray[np.float32]) -> Detections:
    return Detections(box[None], np.ones(1, np.float32), points[None])


def test_the_distance_is_the_mean_of_five_relative_to_the_width() -> None:
    moved = POINTS.copy()
    moved[2] += (3, 4)

    lengths, widths = distances(found(BOX, moved), teachers())

    assert lengths == pytest.approx([5 / 5 / 40])
    assert widths == pytest.approx([40])


def test_a_face_elsewhere_does_not_count() -> None:
    lengths, widths = distances(found(BOX + 100, POINTS), teachers())

    assert len(lengths) == len(widths) == 0


def test_a_photo_without_a_face_does_not_count() -> None:
    lengths, widths = distances(found(BOX, POINTS), Labels(np.zeros((0, 14), np.float32), NO_BOXES))

    assert len(lengths) == len(widths) == 0


def test_a_pack_without_landmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="no landmarks"):
        distances(Detections(BOX[None], np.ones(1, np.float32)), teachers())
