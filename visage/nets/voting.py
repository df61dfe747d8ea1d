"""Voting: one face has many detections, and their mean lies better than the most confident one.

The object detectors of Gidaris and Komodakis (2015) vote so on boxes. `docs/decisions.md` has what it gains here.
"""

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import intersection_over_union
from visage.nets.detections import LANDMARKS, Detections

# Two detections are of one face from this intersection over union on.
_SAME_FACE = 0.55

# Landmarks count only if they lie, on average, at most this far from those of the most confident detection, in widths
# of its box. A pass on a turned photo may have named them in another order.
_NEAR = 0.3

# Detections that are compared with all others at a time, which bounds the memory.
_BLOCK = 256


def vote(found: Detections, kept: NDArray[np.intp]) -> Detections:
    """Return the detections `kept`, each with the mean box and the mean landmarks of all `found` of its face.

    The means are weighted by confidence. `kept` (k,) are indices.
    """
    which, others = _of_one_face(found, kept)
    chosen = found.select(kept)
    weights = np.maximum(found.confidences[others], np.finfo(np.float32).tiny).astype(np.float64)
    boxes = _means(found.boxes[others], weights, which, len(kept))
    if chosen.landmarks is None or found.landmarks is None:
        return Detections(boxes, chosen.confidences)
    widths = chosen.boxes[:, 2] - chosen.boxes[:, 0]
    distances = np.linalg.norm(found.landmarks[others] - chosen.landmarks[which], axis=2).mean(axis=1)
    weights = weights * ((distances <= _NEAR * widths[which]) | (others == kept[which]))
    points = _means(found.landmarks[others].reshape(-1, 2 * LANDMARKS), weights, which, len(kept))
    return Detections(boxes, chosen.confidences, points.reshape(-1, LANDMARKS, 2))


def _of_one_face(found: Detections, kept: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of one of `kept`, as its place there, and one of `found`, as its index."""
    which, others = [], []
    for start in range(0, len(kept), _BLOCK):
        rows = kept[start : start + _BLOCK]
        same = intersection_over_union(found.boxes[rows], found.boxes) >= _SAME_FACE
        same[np.arange(len(rows)), rows] = True  # a box without an area does not overlap itself
        block, indices = np.nonzero(same)
        which.append(block + start)
        others.append(indices)
    nothing = np.zeros(0, np.intp)
    return np.concatenate([nothing, *which]), np.concatenate([nothing, *others])


def _means(
    values: NDArray[np.float32], weights: NDArray[np.float64], which: NDArray[np.intp], count: int
) -> NDArray[np.float32]:
    """Return the weighted mean of the rows of `values` (n, m) for each of `count` faces, (count, m)."""
    sums = np.stack([np.bincount(which, weights * column, count) for column in values.T], axis=1)
    means: NDArray[np.float32] = (sums / np.bincount(which, weights, count)[:, None]).astype(np.float32)
    return means
