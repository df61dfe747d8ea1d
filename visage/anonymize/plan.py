"""Plan what to redact in a photo: every box that the detector found for each face, and the boxes that a person drew."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from visage.anonymize.masks import mask_bounds
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import FoundBox, FoundFace
from visage.errors import BadParameter
from visage.faces.analyzer import Analyzer, original_box
from visage.faces.merging import merge
from visage.faces.search import find_candidates
from visage.images.boxes import Box, areas, intersection_over_area, intersection_over_union
from visage.images.decoding import Photo
from visage.nets.detections import Detections

# A box of `keep` stands for a face from this intersection over union on. Callers take the box from an earlier response
# or draw it around the face. A box around several faces stands for none of them. Boxes of the detector that overlap so
# much are of one face.
_MIN_SAME_IOU = 0.4

# A box is part of a face from this intersection over its own area on: eyes or a mouth that the detector took for faces.
_MIN_PART_AREA = 0.7

# Boxes that are compared with all faces at a time, which bounds the memory.
_BLOCK = 256

# Area of all masks of `cover` over that of the photo. Each takes 29 ms a megapixel, so this limits a photo of 24
# megapixels to 22 seconds. All boxes of the detector in 60 photos of crowds have at most twice the area.
_MAX_COVER_AREAS = 32


@dataclass(frozen=True)
class RedactionPlan:
    """What is redacted: the `faces` that are not kept, largest first, and the boxes of `cover`, inside the photo.

    `min_confidence` is the confidence threshold (0..1).
    """

    faces: tuple[FoundFace, ...]
    cover: tuple[Box, ...]
    min_confidence: float

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes to redact, several for most faces."""
        return (*(found.box for face in self.faces if not face.kept for found in face.boxes), *self.cover)


def plan_redaction(analyzer: Analyzer, photo: Photo, options: AnonymizeOptions) -> RedactionPlan:
    """Find the faces in `photo` and the boxes to redact.

    All overlapping boxes are redacted, because nothing tells which of them contains the whole face. Each belongs to one
    face, so that nothing is redacted in a photo whose faces are all kept.

    Raises:
        BadParameter: a box of `cover` is outside the photo, or their masks take too long.
    """
    cover = clip_boxes(options.cover, photo.width, photo.height)
    _check_work(cover, options.mask.scale, photo.width, photo.height)
    spec = analyzer.pack.face
    threshold = spec.redaction_confidence if options.min_confidence is None else options.min_confidence
    if not options.detect:
        return RedactionPlan((), cover, threshold)
    found = find_candidates(analyzer.detector, spec, photo.pixels, options.detail)
    # A box without an area is outside the photo.
    candidates = found.select((found.confidences >= threshold) & (areas(found.boxes) > 0))
    faces = sorted((_face(group, photo) for group in group_by_face(candidates)), key=lambda face: -face.box.area)
    return RedactionPlan(_with_kept(faces, options.keep), cover, threshold)


def clip_boxes(boxes: Sequence[Box], width: int, height: int) -> tuple[Box, ...]:
    """Return the part of each of `boxes` that is inside a photo of `width` x `height` pixels.

    Raises:
        BadParameter: a box is outside the photo; the sentence says which.
    """
    clipped = tuple(Box(max(0, box.x1), max(0, box.y1), min(width, box.x2), min(height, box.y2)) for box in boxes)
    for number, (box, part) in enumerate(zip(boxes, clipped, strict=True), 1):
        if part.width <= 0 or part.height <= 0:
            raise BadParameter(
                f"cover is outside the photo: its box {number}, {list(box.corners)}, has no pixel of the {width} x "
                f"{height}; give pixels of the upright photo."
            )
    return clipped


def _check_work(cover: Sequence[Box], scale: float, width: int, height: int) -> None:
    ratio = sum(mask_bounds(box, scale, width, height).area for box in cover) / (width * height)
    if ratio > _MAX_COVER_AREAS:
        raise BadParameter(
            f"cover has masks of {ratio:.0f} times the area of the photo, and at most {_MAX_COVER_AREAS} are allowed. "
            "Send fewer boxes, or leave out those inside others."
        )


def group_by_face(candidates: Detections) -> list[Detections]:
    """Divide the boxes of all detection passes into one group for each face; the first of a group is the face's box.

    A box belongs to the face that it overlaps most, or that contains most of it. Boxes that belong to none, such as an
    uncertain one around a whole group of people, make up faces of their own.
    """
    groups = []
    while len(candidates.boxes):
        faces = merge(candidates)
        owners = _owners(candidates.boxes, faces.boxes)
        for index in range(len(faces.boxes)):
            own = candidates.select(owners == index)
            face = faces.select(np.array([index]))
            groups.append(Detections.concatenate([face, own]))
        candidates = candidates.select(owners < 0)
    return groups


def _owners(boxes: NDArray[np.float32], faces: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return (n,): the index of the face in `faces` (m, 4) to which each of `boxes` (n, 4) belongs, or -1."""
    if len(boxes) > _BLOCK:
        blocks = range(0, len(boxes), _BLOCK)
        return np.concatenate([_owners(boxes[start : start + _BLOCK], faces) for start in blocks])
    same, part = intersection_over_union(boxes, faces), intersection_over_area(boxes, faces)
    best_same, best_part = same.argmax(axis=1), part.argmax(axis=1)
    is_same, is_part = same.max(axis=1) >= _MIN_SAME_IOU, part.max(axis=1) >= _MIN_PART_AREA
    return np.where(is_same, best_same, np.where(is_part, best_part, -1))


def _face(group: Detections, photo: Photo) -> FoundFace:
    """Return the face of a group, whose first box stands for it. Boxes that are equal in whole pixels become one."""
    face, *own = (original_box(box, photo) for box in group.boxes)
    confidences: dict[Box, float] = {}
    for box, confidence in zip(own, map(float, group.confidences[1:]), strict=True):
        confidences[box] = max(confidence, confidences.get(box, 0.0))
    found = sorted((FoundBox(*each) for each in confidences.items()), key=lambda each: -each.confidence)
    return FoundFace(face, float(group.confidences[0]), boxes=tuple(found))


def _with_kept(faces: Sequence[FoundFace], keep: Sequence[Box]) -> tuple[FoundFace, ...]:
    """Return `faces`, with those kept that a box of `keep` stands for: the face that it overlaps most, if enough."""
    if not faces or not keep:
        return tuple(faces)
    overlaps = intersection_over_union(_corners(keep), _corners([face.box for face in faces]))
    kept = {int(row.argmax()) for row in overlaps if row.max() >= _MIN_SAME_IOU}
    return tuple(replace(face, kept=index in kept) for index, face in enumerate(faces))


def _corners(boxes: Sequence[Box]) -> NDArray[np.float32]:
    return np.array([box.corners for box in boxes], np.float32)
