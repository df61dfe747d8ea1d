"""What the privacy guard is asked for, and what it finds in a photo."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from visage.anonymize.masks import Mask
from visage.anonymize.results import Found, Search
from visage.faces.analyzer import Analyzer, Options, original_box
from visage.faces.merging import merge
from visage.faces.search import Detail, find_candidates
from visage.images.boxes import Box, intersection_over_area, intersection_over_union
from visage.images.decoding import Photo
from visage.nets.detector import Detections

# A box that is to stay names a face if they share this part of their union. Whoever keeps a face has its box from an
# answer of ours, or draws one around it; one around several faces keeps none of them.
SAME_FACE = 0.4

# Of a face that stays, whatever lies inside its box to this part stays too: eyes or a mouth that were taken for faces.
PART_OF_FACE = 0.7


@dataclass(frozen=True)
class GuardOptions:
    """What the caller wants covered.

    `min_confidence` (0..1; the pack's own for the guard where None) is what a box needs to be covered. `keep` are boxes
    in pixels of the upright original whose faces stay as they are.
    """

    mask: Mask = field(default_factory=Mask)
    min_confidence: float | None = None
    keep: tuple[Box, ...] = ()
    detail: Detail = Detail.HIGH


def find(analyzer: Analyzer, photo: Photo, options: GuardOptions) -> Search:
    """What the privacy guard finds in `photo`, the largest first.

    Of overlapping boxes all are covered: which of them has the whole face cannot be known.
    """
    least = analyzer.pack.face.guard_confidence if options.min_confidence is None else options.min_confidence
    found = find_candidates(analyzer.detector, analyzer.pack.face, photo.pixels, options.detail)
    sure = found.confidences >= least
    every = Detections(found.boxes[sure], found.confidences[sure])
    faces = analyzer.choose(merge(every), photo, Options(least))
    boxes = [original_box(box, photo) for box in faces.boxes]
    kept = _named(boxes, options.keep)
    return Search(
        tuple(
            Found(box, float(confidence), index in kept)
            for index, (box, confidence) in enumerate(zip(boxes, faces.confidences, strict=True))
        ),
        _left([original_box(box, photo) for box in every.boxes], [options.keep[each] for each in kept.values()]),
    )


def _named(boxes: Sequence[Box], keep: Sequence[Box]) -> dict[int, int]:
    """Which faces `keep` names, by index: of each box the face that shares most with it, if that is enough."""
    if not boxes or not keep:
        return {}
    shares = intersection_over_union(_corners(keep), _corners(boxes))
    return {int(row.argmax()): index for index, row in enumerate(shares) if row.max() >= SAME_FACE}


def _left(boxes: Sequence[Box], kept: Sequence[Box]) -> tuple[Box, ...]:
    """Those of `boxes` that neither are nor belong to a face that is `kept`."""
    if not boxes or not kept:
        return tuple(boxes)
    same = intersection_over_union(_corners(boxes), _corners(kept)).max(axis=1) >= SAME_FACE
    inside = intersection_over_area(_corners(boxes), _corners(kept)).max(axis=1) >= PART_OF_FACE
    return tuple(boxes[index] for index in np.flatnonzero(~same & ~inside))


def _corners(boxes: Sequence[Box]) -> NDArray[np.float32]:
    return np.array([box.corners for box in boxes], np.float32)
