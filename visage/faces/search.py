"""Multi-scale search: which detection passes run on a photo, and which of their boxes count.

A pass shows the photo to the detector at one scale. "Net pixels" are pixels of the photo as resized for that pass.
`python -m benchmarks.detection` measures recall, false positives and time. The figures below and those of other
schemes are in docs/decisions.md and docs/performance.md. "res10" is the detector of the pack `reference`.
"""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from visage.faces.merging import merge
from visage.images.tiles import Tile, cut
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import FaceSpec

# Longer side of the photo in net pixels, over the longer side of the net's input, for each pass. For res10 these are
# 300, 600, 1200 and 2400 pixels.
_FIRST, _SECOND, _THIRD, _FOURTH = 1, 2, 4, 8

# Largest enlargement of a photo for the third and fourth pass. Scene photos of 360 pixels, fed to res10 at 600 (1.7
# times), gave 47 more faces of 236 and 1 more false positive; at 800 (2.2 times) 8 more faces and 34 false positives.
_MAX_ENLARGEMENT = 5 / 3

# The second pass may enlarge small photos more: until the smallest face that the detector finds reliably has this many
# pixels of the photo. In 30 photos of groups, some of 200 pixels, res10 finds 60 faces without this and 66 with it.
_SMALLEST_ENLARGED_FACE = 8

# A pass runs only if its scale is at least this many times that of the pass before. A second pass of `compact` at 1.25
# or 1.3 finds 1 more face of 115 in photos of 360 pixels, for 2 to 5 more false positives and half as much time again.
_MIN_SCALE_STEP = 1.5

# Largest face that a pass after the first contributes, over the smallest that the detector finds reliably (100 net
# pixels for res10). A coarser pass has seen larger faces whole; at this scale a large box is often an ear or a hand. On
# 300 scene photos with and without faces this loses 2 faces of 195 and drops 17 of 31 false positives.
_LARGEST_FINE_FACE = 4

# Longer side of a tile in net pixels. Two in a row cover 1200, and a pass needs at most 60 MB for activations (res10).
# Neighbours overlap by the largest face that they contribute. A tile is at least this many overlaps long.
_TILE_SIDE, _MIN_OVERLAPS_PER_TILE = 680, 2

# A box below the confidence threshold is uncertain from this confidence on, and a finer pass decides. Of 236 faces in
# 150 scene photos res10 finds 188 with 0.2, 191 with 0.15 and 192 with 0.12, with 5 false positives each, in 48, 52 and
# 80 ms a photo; of 252 in mosaics of four 138, 168 and 189, in 126, 200 and 281 ms.
_UNCERTAIN = 0.15

# This many boxes, uncertain ones included, are a crowd if each is narrower than this share of the smallest face that
# the first pass finds reliably (5 % of the longer side for res10). Our choice: a single such box is often background,
# three rarely are.
_CROWD_SIZE, _CROWD_FACE = 3, 0.6


class Detail(Enum):
    """How many detection passes run.

    `FAST`: the first. `AUTO`: finer ones where a box is uncertain, no face was found or there is a crowd. `HIGH`: every
    pass that can find more.
    """

    FAST = "fast"
    AUTO = "auto"
    HIGH = "high"


def find_faces(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """Find the faces in (h, w, 3) uint8 BGR `pixels`, one box each, most confident first.

    Boxes of every confidence are returned; the caller applies the confidence threshold. A higher threshold always
    keeps a subset of what a lower one keeps.
    """
    found, _ = _search(detector, spec, pixels, detail)
    return found


def find_candidates(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """Find the boxes of all passes in (h, w, 3) uint8 BGR `pixels`, of every size and confidence, in no order.

    Most faces have several boxes; `merge` reduces them to one each. For callers to whom a missed face is worse than a
    false positive.
    """
    _, passes = _search(detector, spec, pixels, detail)
    return Detections.concatenate(passes)


def first_pass_size(spec: FaceSpec) -> tuple[int, int]:
    """Return the size (width, height) in net pixels of a photo of 3 to 2 in the first pass."""
    return _scaled(3, 2, max(spec.input) * _FIRST / 3)


def _search(
    detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail
) -> tuple[Detections, list[Detections]]:
    """Return the faces, one box each, and the boxes of every pass."""
    height, width = pixels.shape[:2]
    net_side = max(spec.input)
    scale = net_side * _FIRST / max(width, height)
    passes = [detector.detect(pixels, _scaled(width, height, scale))]
    found = merge(passes[0])
    crowd_face = spec.smallest_face * _CROWD_FACE / scale
    largest_face = spec.smallest_face * _LARGEST_FINE_FACE
    for finer in (_SECOND, _THIRD, _FOURTH):
        if detail is Detail.FAST or (detail is Detail.AUTO and not _needs_pass(finer, found, spec, crowd_face)):
            break
        previous, scale = scale, min(net_side * finer / max(width, height), _max_enlargement(finer, spec))
        if scale < _MIN_SCALE_STEP * previous:
            break
        passes.append(_detect_in_tiles(detector, pixels, scale, largest_face))
        found = merge(found, _up_to_size(merge(passes[-1]), largest_face / scale))
    return found, passes


def _needs_pass(finer: int, found: Detections, spec: FaceSpec, crowd_face: float) -> bool:
    """Whether the boxes `found` so far call for the next pass."""
    if finer == _SECOND:
        return _is_uncertain(found, spec.min_confidence)
    return finer == _THIRD and _is_crowd(found, crowd_face)


def _is_uncertain(found: Detections, min_confidence: float) -> bool:
    """Whether there is no face, or an uncertain box."""
    faces = found.confidences >= min_confidence
    return not faces.any() or bool((found.confidences[~faces] >= _UNCERTAIN).any())


def _is_crowd(found: Detections, crowd_face: float) -> bool:
    """Whether enough likely faces are less than `crowd_face` pixels wide."""
    likely = found.boxes[found.confidences >= _UNCERTAIN]
    return bool((likely[:, 2] - likely[:, 0] < crowd_face).sum() >= _CROWD_SIZE)


def _max_enlargement(finer: int, spec: FaceSpec) -> float:
    """Return the largest scale, in net pixels per pixel of the photo, for the pass `finer`."""
    if finer > _SECOND:
        return _MAX_ENLARGEMENT
    return max(_MAX_ENLARGEMENT, spec.smallest_face / _SMALLEST_ENLARGED_FACE)


def _detect_in_tiles(
    detector: FaceDetector, pixels: NDArray[np.uint8], scale: float, largest_face: float
) -> Detections:
    """Run one pass at `scale` in tiles, which bound the memory; they overlap by `largest_face` net pixels."""
    height, width = pixels.shape[:2]
    found = []
    side = max(_TILE_SIDE, _MIN_OVERLAPS_PER_TILE * largest_face) / scale
    for tile in cut(width, height, (side, side), overlap=largest_face / scale):
        rows, columns = tile.rows, tile.columns
        size = _scaled(columns.end - columns.start, rows.end - rows.start, scale)
        in_tile = detector.detect(pixels[rows.start : rows.end, columns.start : columns.end], size)
        found.append(_whole_faces(in_tile, tile, width, height, margin=2 / scale))
    return Detections.concatenate(found)


def _whole_faces(found: Detections, tile: Tile, width: int, height: int, margin: float) -> Detections:
    """Move the boxes of a tile to the photo. Drop those cut by a tile's inner edge: the neighbour has them whole."""
    x, y = tile.columns, tile.rows
    moved = found.moved(x.start, y.start)
    boxes = moved.boxes
    whole = (
        ((x.start == 0) | (boxes[:, 0] > x.start + margin))
        & ((y.start == 0) | (boxes[:, 1] > y.start + margin))
        & ((x.end == width) | (boxes[:, 2] < x.end - margin))
        & ((y.end == height) | (boxes[:, 3] < y.end - margin))
    )
    return moved.select(whole)


def _up_to_size(found: Detections, largest: float) -> Detections:
    """Keep the boxes whose longer side has at most `largest` pixels."""
    return found.select((found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1) <= largest)


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))
