"""What a face detector finds: boxes, confidences and, from some nets, landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# The landmarks of a face, in this order: eye, eye, tip of the nose, corner of the mouth, corner of the mouth. Of each
# pair the one that is on the left in the picture of an upright face comes first, which is the person's right.
LANDMARKS = 5

# Two boxes are one face above this intersection over union: the best of 0.3 (OpenCV's YuNet), 0.45 and 0.6 in average
# precision (docs/decisions.md).
MAX_IOU = 0.45


@dataclass(frozen=True)
class Detections:
    """`boxes` (n, 4) float32, x1 y1 x2 y2; `confidences` (n,) float32 in 0..1.

    `landmarks` (n, 5, 2) float32 are x y, in the order of `LANDMARKS`; they may be outside the image if its border cuts
    the face. They are None if the net gives none. Coordinates are in pixels of the image, unless the function that
    returns them says otherwise.
    """

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    @classmethod
    def concatenate(cls, parts: Sequence["Detections"]) -> "Detections":
        """Return the detections of all `parts`, of which there must be at least one, in their order.

        They have landmarks if all parts have them.
        """
        points = [part.landmarks for part in parts if part.landmarks is not None]
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.confidences for part in parts]),
            np.concatenate(points) if len(points) == len(parts) else None,
        )

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Detections":
        """Return those where the mask `which` (n,) is true, or those at its indices, in their order."""
        points = None if self.landmarks is None else self.landmarks[which]
        return Detections(self.boxes[which], self.confidences[which], points)

    def scaled(self, x: float, y: float) -> "Detections":
        """Return the detections with coordinates multiplied by `x` and `y`."""
        factors = np.array([x, y], np.float32)
        points = None if self.landmarks is None else self.landmarks * factors
        return Detections(self.boxes * np.tile(factors, 2), self.confidences, points)

    def moved(self, x: float, y: float) -> "Detections":
        """Return the detections with `x` and `y` added to their coordinates."""
        offsets = np.array([x, y], np.float32)
        points = None if self.landmarks is None else self.landmarks + offsets
        return Detections(self.boxes + np.tile(offsets, 2), self.confidences, points)

    def turned_back(self, turns: int, width: float, height: float) -> "Detections":
        """Return the detections of an image that `numpy.rot90` turned by `turns` quarters, as those of the image.

        `width` and `height` are the image's, before it was turned.
        """
        corners = _turn_back(self.boxes.reshape(-1, 2, 2), turns, width, height)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        points = None if self.landmarks is None else _turn_back(self.landmarks, turns, width, height)
        return Detections(boxes, self.confidences, points)


def suppress(
    boxes: NDArray[np.float32], confidences: NDArray[np.float32], max_iou: float = MAX_IOU
) -> NDArray[np.intp]:
    """Non-maximum suppression: return the indices of `boxes` (n, 4) that stay, most confident first.

    A box stays unless its intersection over union with a more confident one that stays is above `max_iou`.
    """
    # OpenCV converts lists in half of the time of arrays.
    corners_and_sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
    return np.array(cv2.dnn.NMSBoxes(corners_and_sides, confidences.tolist(), 0, max_iou), np.intp)


def _turn_back(points: NDArray[np.float32], turns: int, width: float, height: float) -> NDArray[np.float32]:
    """Turn `points` (..., 2) clockwise by `turns` quarters into an image of `width` x `height`."""
    x, y = points[..., 0], points[..., 1]
    ways = [(x, y), (width - y, x), (width - x, height - y), (y, height - x)]
    return np.stack(ways[turns % 4], axis=-1).astype(np.float32, copy=False)
