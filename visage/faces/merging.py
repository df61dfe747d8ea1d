"""Merging: one box for each face out of the many that detection passes give."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import areas, intersection_over_area
from visage.nets.detections import Detections, suppress
from visage.nets.voting import vote

# A box is contained in a larger one above this intersection over its own area. res10 finds boxes around chin and
# forehead within the box of a tight portrait.
_CONTAINED = 0.7

# A box absorbs those that it contains if its confidence is at least this share of theirs. So a box around an ear does
# not replace the face, and an uncertain box around a group does not replace its faces.
_MIN_CONFIDENCE_RATIO = 0.8

# Boxes that are compared with all others at a time, which bounds the memory.
_BLOCK = 256


def merge(*passes: Detections) -> Detections:
    """Merge the boxes of all `passes`: one box for each face, most confident first."""
    return merge_contained(_suppress(_by_confidence(Detections.concatenate(passes))))


def merge_contained(found: Detections) -> Detections:
    """Merge the boxes of a single pass, which has no other boxes of one face than contained ones."""
    return _by_confidence(_merge_contained(_by_confidence(found)))


def _by_confidence(found: Detections) -> Detections:
    # Ties are sorted by position, so that the order does not depend on that of the input.
    return found.select(np.lexsort((found.boxes[:, 1], found.boxes[:, 0], -found.confidences)))


def _suppress(found: Detections) -> Detections:
    """Non-maximum suppression with voting: of boxes that overlap the first stays, at the mean of those of its face."""
    kept = suppress(found.boxes, found.confidences)
    if len(kept) == len(found.boxes):
        # Each box is the only one of its face.
        return found.select(kept)
    return vote(found, kept)


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
