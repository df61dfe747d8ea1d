"""How many labelled faces masks hide, and how many masks are without a face."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import Box

# The share of a face's box that masks must cover.
HIDDEN = 0.9


def cover(masks: Sequence[Box], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return (h, w) bool: which pixels `masks` cover."""
    covered = np.zeros(shape, bool)
    for box in masks:
        covered[box.y1 : box.y2, box.x1 : box.x2] = True
    return covered


def count_hidden(covered: NDArray[np.bool_], boxes: NDArray[np.float32]) -> int:
    """Count the faces of which `covered` has enough."""
    hidden = 0
    for x1, y1, x2, y2 in np.rint(boxes).astype(int).clip(0):
        part = covered[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        hidden += bool(part.size and part.mean() >= HIDDEN)
    return hidden


def count_without_face(masks: Sequence[Box], boxes: NDArray[np.float32]) -> int:
    """Count the masks that touch no labelled face."""
    return sum(
        not (
            (boxes[:, 0] < mask.x2) & (boxes[:, 2] > mask.x1) & (boxes[:, 1] < mask.y2) & (boxes[:, 3] > mask.y1)
        ).any()
        for mask in masks
    )
