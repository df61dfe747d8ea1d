"""Merging: one box for each face out of the many that detection passes give."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import areas, intersection_over_area, intersection_over_union
from visage.nets.detections import Detections, suppress

# Two boxes are one face above this intersection over union.
_MAX_IOU = 0.45

# A box is contained in a larger one above this intersection over its own area. res10 finds boxes around chin and
# forehead within the box of a tight portrait.
_CONTAINED = 0.7

# A box absorbs those that it contains if its confidence is at least this share of theirs. So a box around an ear does
# not replace the face, and an uncertain box around a group does not replace its faces.
_MIN_CONFIDENCE_RATIO = 0.8

# A face's box is the average of the boxes that overlap its most confident one at least so much, weighted by confidence.
# `docs/decisions.md` has what that gains.
_SAME_FACE = 0.55

# Boxes that are compared with all others at a time, which bounds the memory.
_BLOCK = 256


def merge(*passes: Detections) -> Detections:
    """Merge the boxes of all `passes`: one box for each face, most confident first."""
    return _by_confidence(_merge_contained(_suppress(_by_confidence(Detections.concatenate(passes)))))


def _by_confidence(found: Detections) -> Detections:
    # Ties are sorted by position, so that the order does not depend on that of the input.
    return found.select(np.lexsort((found.boxes[:, 1], found.boxes[:, 0], -found.confidences)))


def _suppress(found: Detections) -> Detections:
    """Non-maximum suppression with box voting: of boxes that overlap the first stays, at the average of them all."""
    kept = suppress(found.boxes, found.confidences, _MAX_IOU)
    return replace(found.select(kept), boxes=_averages(found, kept))


def _averages(found: Detections, kept: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return for each of `kept` the average of all boxes of its face, (len(kept), 4), weighted by confidence.

    Landmarks are not averaged, because a pass on a turned photo may have named them in another order.
    """
    averages = np.empty((len(kept), 4), np.float32)
    for start in range(0, len(kept), _BLOCK):
        rows = kept[start : start + _BLOCK]
        same = intersection_over_union(found.boxes[rows], found.boxes) >= _SAME_FACE
        same[np.arange(len(rows)), rows] = True  # a box without an area does not overlap itself
        weights = same * np.maximum(found.confidences, np.finfo(np.float32).tiny)
        averages[start : start + _BLOCK] = weights @ found.boxes / weights.sum(axis=1, keepdims=True)
    return averages


def _merge_contained(found: Detections) -> Detections:
    """Merge contained boxes into the box around them, which gets the best confidence of them all.

    A box that is far less confident than one that it contains is dropped instead.
    """
    confidences = found.confidences.copy()
    kept = np.ones(len(confidences), bool)
    sizes = areas(found.boxes)
    parts = _parts(found.boxes, sizes)
    for index in sorted(parts, key=lambda index: -sizes[index]):
        contained = parts[index][kept[parts[index]]]
        if not kept[index] or not len(contained):
            continue
        best = confidences[contained].max()
        if confidences[index] >= _MIN_CONFIDENCE_RATIO * best:
            confidences[index] = max(confidences[index], best)
            kept[contained] = False
        else:
            kept[index] = False
    return replace(found, confidences=confidences).select(kept)


def _parts(boxes: NDArray[np.float32], sizes: NDArray[np.float32]) -> dict[int, NDArray[np.intp]]:
    """Map the index of each of `boxes` (n, 4) that contains others to the indices of those; `sizes` (n,) are areas."""
    parts = {}
    for start in range(0, len(boxes), _BLOCK):
        block = slice(start, start + _BLOCK)
        contained = (intersection_over_area(boxes, boxes[block]) > _CONTAINED) & (sizes[:, None] < sizes[block])
        for column in np.flatnonzero(contained.any(axis=0)):
            parts[start + int(column)] = np.flatnonzero(contained[:, column])
    return parts
