"""The one measure of how alike two boxes are."""

import numpy as np
from numpy.typing import NDArray


def intersection_over_union(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) float32 in 0..1: the part of their union that each of `boxes` (n, 4) shares with each of `others` (m, 4).

    Boxes are x1 y1 x2 y2; one without area shares nothing.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    shares: NDArray[np.float32] = shared / np.where(union > 0, union, np.inf).astype(np.float32)
    return shares
