"""Merging: one box for each face out of the many that detection passes give."""

from dataclasses import replace

import numpy as np

from visage.images.boxes import areas, intersection_over_area
from visage.nets.detections import Detections, suppress

# Two boxes are one face above this intersection over union.
_MAX_IOU = 0.4

# A box is contained in a larger one above this intersection over its own area. res10 finds boxes around chin and
# forehead within the box of a tight portrait.
_CONTAINED = 0.7

# A box absorbs those that it contains if its confidence is at least this share of theirs. So a box around an ear does
# not replace the face, and an uncertain box around a group does not replace its faces.
_MIN_CONFIDENCE_RATIO = 0.8


def merge(*passes: Detections) -> Detections:
    """Merge the boxes of all `passes`: one box for each face, most confident first."""
    return _by_confidence(_merge_contained(_suppress(_by_confidence(Detections.concatenate(passes)))))


def _by_confidence(found: Detections) -> Detections:
    # Ties are sorted by position, so that the order does not depend on that of the input.
    return found.select(np.lexsort((found.boxes[:, 1], found.boxes[:, 0], -found.confidences)))


def _suppress(found: Detections) -> Detections:
    """Non-maximum suppression: keep the first of boxes that overlap."""
    return found.select(suppress(found.boxes, found.confidences, _MAX_IOU))


def _merge_contained(found: Detections) -> Detections:
    """Merge contained boxes into the box around them, which gets the best confidence of them all.

    A box that is far less confident than one that it contains is dropped instead.
    """
    confidences = found.confidences.copy()
    kept = np.ones(len(confidences), bool)
    sizes = areas(found.boxes)
    for index in np.argsort(-sizes, kind="stable"):
        if not kept[index]:
            continue
        overlaps = intersection_over_area(found.boxes, found.boxes[index : index + 1])[:, 0]
        contained = kept & (sizes < sizes[index]) & (overlaps > _CONTAINED)
        if not contained.any():
            continue
        best = confidences[contained].max()
        if confidences[index] >= _MIN_CONFIDENCE_RATIO * best:
            confidences[index] = max(confidences[index], best)
            kept &= ~contained
        else:
            kept[index] = False
    return replace(found, confidences=confidences).select(kept)
