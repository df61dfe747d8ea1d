"""How alike two boxes are, and how much of one lies in another."""

import numpy as np
from numpy.typing import NDArray


def intersection_over_union(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) float32 in 0..1: the part of their union that each of `boxes` (n, 4) shares with each of `others` (m, 4).

    Boxes are x1 y1 x2 y2; one without area shares nothing.
    """
    shared = _shared(boxes, others)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    union = areas[0][:, None] + areas[1][None] - shared
    return _quotients(shared, union)


def shared_parts(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) float32 in 0..1: the part of its own area that each of `boxes` (n, 4) shares with each of `others` (m, 4).

    Boxes are x1 y1 x2 y2; one without area shares nothing.
    """
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    return _quotients(_shared(boxes, others), areas)


def _shared(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) float32: the area that each pair has in common."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides: NDArray[np.float32] = np.clip(high - low, 0, None)
    return sides[..., 0] * sides[..., 1]


def _quotients(shared: NDArray[np.float32], whole: NDArray[np.float32]) -> NDArray[np.float32]:
    quotients: NDArray[np.float32] = shared / np.where(whole > 0, whole, np.float32(np.inf))
    return quotients
