"""Where the faces of a photo are: which passes of the detector pay, and how their boxes are merged.

Recall, false boxes and time of every scheme tried: `python -m benchmarks.detection`, figures in benchmarks/README.md.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import areas, shared_parts
from visage.nets.detector import Detections, FaceDetector
from visage.packs.pack import FaceSpec

# Longer sides at which a photo is fed, over the net's own input: 300, 600, 1200 and 2400 for res10.
_COARSE, _MIDDLE, _FINE, _FINEST = 1, 2, 4, 8

# A photo is enlarged at most this much for a third or fourth look. Scene photos of 360 pixels fed to res10 at 600 (1.7
# times) gained 47 faces of 236 for 1 false box more; at 800 (2.2 times) 8 more for 34 false boxes.
_LARGEST_ENLARGEMENT = 5 / 3

# The second look may enlarge small photos more, until the smallest face that the net finds is this many pixels of the
# photo high. In 30 photos of groups, some of 200 pixels, res10 finds 60 faces without this and 66 with it.
_SMALLEST_SEEN = 8

# What is not at least this much closer than the look before is left out: a second look of compact at photos of 360
# pixels, at 1.25 or 1.3, finds 1 face more of 115 for 2 to 5 false boxes more, in half as much time again.
_WORTH_IT = 1.5

# The largest face that a closer pass contributes, over the smallest that the net finds reliably (100 pixels fed for
# res10): larger ones were seen whole by a coarser pass, and what the closer one takes for a large face is an ear or a
# hand. On 300 scene photos with and without faces this loses 2 faces of 195 and leaves out 17 of 31 false boxes.
_CLOSER_FACE = 4

# The longest side of a tile, in pixels fed: two in a row hold 1200, and 60 MB of activations (res10) are the most that
# a pass needs. Neighbours overlap by the largest face that they contribute; where that is large, so is the tile.
_TILE, _OVERLAPS_A_TILE = 680, 2

# From this confidence on, a box that is no face yet is a doubt that a closer look settles. Of 236 faces in 150 scene
# photos res10 finds 188 with 0.2, 191 with 0.15 and 192 with 0.12, with 5 false boxes each, in 48, 52 and 80 ms a
# photo; of 252 in mosaics of four 138, 168 and 189, in 126, 200 and 281 ms.
_DOUBT = 0.15

# A photo with this many faces, certain or doubtful, narrower than this part of the smallest face that the first look
# finds reliably, holds a crowd (5 % of the longer side for res10). Ours: one such box is often an accident of the
# background, three hardly ever.
_CROWD, _CROWD_FACE = 3, 0.6

# Two boxes are one face if they share this part of their union, or this part of the smaller one: res10 puts boxes
# around chin and forehead into the box of a tight portrait.
_SAME_UNION, _INSIDE = 0.4, 0.7

# A box swallows those inside it unless it is far less certain than they are: an ear must not outdo its face, nor a
# vague box around a group the faces in it.
_FAR_LESS_CERTAIN = 0.8


class Detail(Enum):
    """How closely to look: one pass, closer where a doubt or a crowd asks for it, or every pass that can show more."""

    FAST = "fast"
    AUTO = "auto"
    HIGH = "high"


@dataclass(frozen=True)
class _Tile:
    """A part of the photo, in its pixels: x1 <= x < x2 and y1 <= y < y2."""

    x1: int
    y1: int
    x2: int
    y2: int


def find_faces(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """The faces of (h, w, 3) uint8 BGR `pixels`, most confident first, each once.

    Boxes of every confidence are returned; which count as faces is the caller's choice, and a stricter choice always
    keeps a part of what a looser one keeps.
    """
    found, _ = _search(detector, spec, pixels, detail)
    return found


def find_boxes(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """Every box that any look gives, of every size and confidence, in no order; of most faces there are several.

    For those to whom a missed face is worse than a false box: `merge` leaves one of each face.
    """
    _, looks = _search(detector, spec, pixels, detail)
    return _together(*looks)


def _search(
    detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail
) -> tuple[Detections, list[Detections]]:
    """The faces, each once, and what each look gave."""
    height, width = pixels.shape[:2]
    net_side = max(spec.input)
    scale = net_side * _COARSE / max(width, height)
    looks = [detector.detect(pixels, _scaled(width, height, scale))]
    found = merge(looks[0])
    crowd_face = spec.smallest_face * _CROWD_FACE / scale
    largest_fed = spec.smallest_face * _CLOSER_FACE
    for closer in (_MIDDLE, _FINE, _FINEST):
        if detail is Detail.FAST or (detail is Detail.AUTO and not _pays(closer, found, spec, crowd_face)):
            break
        coarser, scale = scale, min(net_side * closer / max(width, height), _largest_enlargement(closer, spec))
        if scale < _WORTH_IT * coarser:
            break
        looks.append(_look_closer(detector, pixels, scale, largest_fed))
        found = merge(found, _small(merge(looks[-1]), largest_fed / scale))
    return found, looks


def merge(*several: Detections) -> Detections:
    """The boxes of all `several` passes, each face once, most confident first."""
    return _by_confidence(_swallow(_suppress(_by_confidence(_together(*several)))))


def _together(*several: Detections) -> Detections:
    return Detections(
        np.concatenate([each.boxes for each in several]), np.concatenate([each.confidences for each in several])
    )


def _by_confidence(found: Detections) -> Detections:
    # Ties go by position, so that equal photos give equal answers in equal order.
    order = np.lexsort((found.boxes[:, 1], found.boxes[:, 0], -found.confidences))
    return Detections(found.boxes[order], found.confidences[order])


def _suppress(found: Detections) -> Detections:
    """Non-maximum suppression: of boxes that share most of their union, the first stays."""
    corners_and_sides = np.hstack([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]])
    kept = cv2.dnn.NMSBoxes(corners_and_sides, found.confidences, score_threshold=0, nms_threshold=_SAME_UNION)  # type: ignore[arg-type]
    indices = np.array(kept, int)
    return Detections(found.boxes[indices], found.confidences[indices])


def _swallow(found: Detections) -> Detections:
    """Of a box and those inside it, the outer one stays, with the best confidence of them all."""
    confidences = found.confidences.copy()
    alive = np.ones(len(confidences), bool)
    sizes = areas(found.boxes)
    for index in np.argsort(-sizes, kind="stable"):
        if not alive[index]:
            continue
        parts = shared_parts(found.boxes, found.boxes[index : index + 1])[:, 0]
        inside = alive & (sizes < sizes[index]) & (parts > _INSIDE)
        if not inside.any():
            continue
        best = confidences[inside].max()
        if confidences[index] >= _FAR_LESS_CERTAIN * best:
            confidences[index] = max(confidences[index], best)
            alive &= ~inside
        else:
            alive[index] = False
    return Detections(found.boxes[alive], confidences[alive])


def first_size(spec: FaceSpec) -> tuple[int, int]:
    """The size (width, height) at which the first look at an ordinary photo runs the detector."""
    return _scaled(3, 2, max(spec.input) * _COARSE / 3)


def _largest_enlargement(closer: int, spec: FaceSpec) -> float:
    """Pixels fed over pixels of the photo, at most, for the pass that is so many times `closer`."""
    if closer > _MIDDLE:
        return _LARGEST_ENLARGEMENT
    return max(_LARGEST_ENLARGEMENT, spec.smallest_face / _SMALLEST_SEEN)


def _look_closer(detector: FaceDetector, pixels: NDArray[np.uint8], scale: float, largest_fed: float) -> Detections:
    """One pass at `scale` in tiles, which bound the memory and overlap by the largest face that one must have whole."""
    height, width = pixels.shape[:2]
    largest = largest_fed / scale
    found = []
    side = max(_TILE, _OVERLAPS_A_TILE * largest_fed) / scale
    for tile in _tiles(width, height, side, overlap=largest):
        size = _scaled(tile.x2 - tile.x1, tile.y2 - tile.y1, scale)
        part = detector.detect(pixels[tile.y1 : tile.y2, tile.x1 : tile.x2], size)
        found.append(_whole_faces(part, tile, width, height, margin=2 / scale))
    return _together(*found)


def _tiles(width: int, height: int, side: float, overlap: float) -> Iterator[_Tile]:
    for y1, y2 in _spans(height, side, overlap):
        for x1, x2 in _spans(width, side, overlap):
            yield _Tile(x1, y1, x2, y2)


def _spans(length: int, side: float, overlap: float) -> list[tuple[int, int]]:
    """Cover 0..length with the fewest spans of at most `side` pixels that overlap by at least `overlap`.

    All are equally long: for every other size a net lays out its memory and its weights anew.
    """
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    span = math.ceil((length + (count - 1) * overlap) / count)
    starts = [round(index * (length - span) / (count - 1)) for index in range(count)]
    return [(start, start + span) for start in starts]


def _whole_faces(part: Detections, tile: _Tile, width: int, height: int, margin: float) -> Detections:
    """Shift a tile's boxes to the photo, without those that a tile's inner edge cuts: the neighbour has them whole."""
    boxes = part.boxes + np.array([tile.x1, tile.y1, tile.x1, tile.y1], np.float32)
    whole = (
        ((tile.x1 == 0) | (boxes[:, 0] > tile.x1 + margin))
        & ((tile.y1 == 0) | (boxes[:, 1] > tile.y1 + margin))
        & ((tile.x2 == width) | (boxes[:, 2] < tile.x2 - margin))
        & ((tile.y2 == height) | (boxes[:, 3] < tile.y2 - margin))
    )
    return Detections(boxes[whole], part.confidences[whole])


def _small(found: Detections, largest: float) -> Detections:
    """The boxes whose longer side has at most `largest` pixels."""
    small = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1) <= largest
    return Detections(found.boxes[small], found.confidences[small])


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pays(closer: int, found: Detections, spec: FaceSpec, crowd_face: float) -> bool:
    """Whether what was `found` so far asks for the next, closer pass."""
    if closer == _MIDDLE:
        return _is_doubtful(found, spec.min_confidence)
    return closer == _FINE and _is_crowd(found, crowd_face)


def _is_doubtful(found: Detections, min_confidence: float) -> bool:
    """Whether there is no face at all, or a box that may be one."""
    faces = found.confidences >= min_confidence
    return not faces.any() or bool((found.confidences[~faces] >= _DOUBT).any())


def _is_crowd(found: Detections, crowd_face: float) -> bool:
    """Whether several faces are less than `crowd_face` pixels wide."""
    likely = found.boxes[found.confidences >= _DOUBT]
    return bool((likely[:, 2] - likely[:, 0] < crowd_face).sum() >= _CROWD)
