"""Plan what to redact in a photo: every box that the detector found for each face."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import FoundFace
from visage.faces.analyzer import Analyzer, Options, original_box
from visage.faces.merging import merge
from visage.faces.search import find_candidates
from visage.images.boxes import Box, intersection_over_area, intersection_over_union
from visage.images.decoding import Photo

# A box of `keep` stands for a face from this intersection over union on. Callers take the box from an earlier response
# or draw it around the face. A box around several faces stands for none of them.
_MIN_KEEP_IOU = 0.4

# A box is part of a kept face from this intersection over its own area on, and stays too: eyes or a mouth that the
# detector took for faces.
_MIN_KEPT_AREA = 0.7


@dataclass(frozen=True)
class RedactionPlan:
    """`faces` in the photo, one box each, largest first; `boxes` to redact, several for most faces."""

    faces: tuple[FoundFace, ...]
    boxes: tuple[Box, ...]


def plan_redaction(analyzer: Analyzer, photo: Photo, options: AnonymizeOptions) -> RedactionPlan:
    """Find the faces in `photo` and the boxes to redact.

    All overlapping boxes are redacted, because nothing tells which of them contains the whole face.
    """
    spec = analyzer.pack.face
    threshold = spec.redaction_confidence if options.min_confidence is None else options.min_confidence
    found = find_candidates(analyzer.detector, spec, photo.pixels, options.detail)
    candidates = found.select(found.confidences >= threshold)
    faces = analyzer.choose(merge(candidates), photo, Options(threshold))
    boxes = [original_box(box, photo) for box in faces.boxes]
    kept = _match_kept(boxes, options.keep)
    return RedactionPlan(
        tuple(
            FoundFace(box, float(confidence), index in kept)
            for index, (box, confidence) in enumerate(zip(boxes, faces.confidences, strict=True))
        ),
        _not_kept(
            [original_box(box, photo) for box in candidates.boxes], [options.keep[index] for index in kept.values()]
        ),
    )


def _match_kept(faces: Sequence[Box], keep: Sequence[Box]) -> dict[int, int]:
    """Match each box of `keep` to the face with the largest overlap, if that suffices: index of face to index in
    `keep`.
    """
    if not faces or not keep:
        return {}
    overlaps = intersection_over_union(_corners(keep), _corners(faces))
    return {int(row.argmax()): index for index, row in enumerate(overlaps) if row.max() >= _MIN_KEEP_IOU}


def _not_kept(boxes: Sequence[Box], kept: Sequence[Box]) -> tuple[Box, ...]:
    """Return the `boxes` that are neither a face in `kept` nor a part of one."""
    if not boxes or not kept:
        return tuple(boxes)
    same = intersection_over_union(_corners(boxes), _corners(kept)).max(axis=1) >= _MIN_KEEP_IOU
    parts = intersection_over_area(_corners(boxes), _corners(kept)).max(axis=1) >= _MIN_KEPT_AREA
    return tuple(boxes[index] for index in np.flatnonzero(~same & ~parts))


def _corners(boxes: Sequence[Box]) -> NDArray[np.float32]:
    return np.array([box.corners for box in boxes], np.float32)
