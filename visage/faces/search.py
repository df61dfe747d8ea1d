"""Multi-scale search: which detection passes run on a photo, and which of their boxes count.

A pass shows the photo to the detector at one scale. "Net pixels" are pixels of the photo as resized for that pass. The
base pass shows the photo at the size of the net's input: neither its longer side nor its area is larger. The scales of
other passes are multiples of the base scale. All passes together decide where a face is (`visage.faces.merging`).
`visage evaluate --average-precision` measures them; `python -m benchmarks.detection` measures recall, false positives
and time.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.faces.merging import merge, merge_contained
from visage.images.boxes import longer_sides
from visage.images.tiles import Tile, cut
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector, halve
from visage.packs.pack import FaceSpec

# Scales of the passes over the base scale, by detail. The coarse ones, `_COARSE` and the first of `_HIGH`, are for
# faces that fill the photo. docs/decisions.md has other scales that were tried.
_COARSE, _AUTO = 0.5, 1.5
_HIGH = (0.6, 1.2, 1.9)

# Scales of further coarse passes, until one finds a face, where all others found none. Both together take a quarter of
# the time of the base pass.
_COARSEST = (0.4, 0.3)

# Further passes, for small faces in large photos, each show the photo twice as large as the one before. They end at
# full size.
_FINER_STEP = 2

# Largest enlargement of a photo. At 2 in place of 5/3 `compact` finds 149 in place of 116 of 200 faces of 16 pixels,
# and 69 in place of 67 of 70 in the photos of groups; at 3 it adds false positives.
_MAX_ENLARGEMENT = 2.0

# A pass runs only if its scale is at least this many times that of the pass before, a finer one only from the second
# number on. Otherwise it costs more than the pass before and shows hardly more. Where no face was found there is mostly
# none, so a finer pass has to show more.
_MIN_STEP, _MIN_FINER_STEP, _MIN_STEP_WITHOUT_FACES = 1.1, 1.5, 1.7

# A coarse pass contributes faces from this size on, over the smallest face that the detector finds reliably: smaller
# ones are for other passes.
_COARSE_FACE = 2

# Finer passes contribute faces up to this size, over the smallest. They see ears and hands at the size of faces.
_LARGE_FACE = 4

# A face is small below this size, over the smallest that the detector finds reliably. This many small faces of this
# share of the confidence threshold call for a finer pass: where there are some, there are often more that are smaller.
_SMALL_FACE, _CROWD_SIZE, _LIKELY = 1.5, 5, 0.6

# `AUTO` ends with the coarse pass if every box from this share of the confidence threshold on is a face that this pass
# contributes. docs/decisions.md has what that saves.
_UNLIKELY = 0.3

# The most confident boxes of all passes count, so many at most: time and memory of merging grow with their square. A
# photo of 200 faces has some 1,000.
_MAX_BOXES = 4000

# After the coarse pass `AUTO` runs the base pass if no small box has this share of the confidence threshold. That is so
# for three fifths of the photos of the benchmark in docs/performance.md; docs/decisions.md has other shares.
_POSSIBLE = 0.7

# OpenCV's names of one, two and three quarters anticlockwise.
_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}

# Longer side of a tile in net pixels, which bounds the memory of a finer pass. Neighbours overlap by the largest face
# that they contribute. A tile is at least this many overlaps long.
_TILE_SIDE, _MIN_OVERLAPS_PER_TILE = 680, 2


class Detail(Enum):
    """How many detection passes run.

    `FAST`: the base pass. `AUTO`: one at half its scale, and no other if that found large faces only; then one at
    1.5 times its scale if that found small faces, otherwise the base pass; finer ones where there are small faces or no
    face was found. `HIGH`: passes at 0.6, 1.2 and 1.9 times the scale, all finer ones, and a base pass on the photo
    turned by 90, 180 and 270 degrees. If a turned photo has more faces than the upright one, the one with most is
    searched like it.

    Where none of them found a face, each ends with passes at 0.4 and 0.3 times the base scale, for a face that fills
    the photo.
    """

    FAST = "fast"
    AUTO = "auto"
    HIGH = "high"


def find_faces(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """Find the faces in (h, w, 3) uint8 BGR `pixels`, one box each, most confident first.

    Boxes of every confidence that the net gives are returned, and of a photo turned the wrong way those from the
    confidence threshold of the pack on; the caller applies its own. There are at most 4,000.
    """
    passes = _search(detector, spec, pixels, detail)
    found = _most_confident(passes)
    return merge(found) if len(passes) > 1 else merge_contained(found)


def find_candidates(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> Detections:
    """Find the boxes of all passes in (h, w, 3) uint8 BGR `pixels`, as `find_faces` does, most confident first.

    Most faces have several boxes; `merge` reduces them to one each. For callers to whom a missed face is worse than a
    false positive.
    """
    return _most_confident(_search(detector, spec, pixels, detail))


def _most_confident(passes: list[Detections]) -> Detections:
    found = Detections.concatenate(passes)
    return found.select(np.argsort(-found.confidences, kind="stable")[:_MAX_BOXES])


def _search(detector: FaceDetector, spec: FaceSpec, pixels: NDArray[np.uint8], detail: Detail) -> list[Detections]:
    """Return the boxes of every pass, in pixels of the photo."""
    upright = _View(detector, spec, pixels)
    passes = _passes(upright, detail)
    for scale in _COARSEST:
        if any(_count(found, spec) for found in passes):
            break
        passes.append(upright.large_faces(upright.detect_whole(scale), scale))
    return passes


def _passes(upright: "_View", detail: Detail) -> list[Detections]:
    """Return the boxes of the passes of `detail`, in pixels of the photo."""
    if detail is Detail.FAST:
        return [upright.detect_whole(1)]
    if detail is Detail.AUTO:
        coarse = upright.detect_whole(_COARSE)
        if upright.shows_only_large_faces(coarse):
            return [coarse]
        scale = _AUTO if upright.may_have_small_faces(coarse) else 1
        main = upright.detect_whole(scale)
        return [upright.large_faces(coarse, _COARSE), main, *upright.finer_passes(main, scale, always=False)]
    passes = upright.thorough_passes()
    views = [replace(upright, turns=turns) for turns in (1, 2, 3)]
    turned = [view.detect_whole(1) for view in views]
    counts = [_count(found, upright.spec) for found in turned]
    right_way = int(np.argmax(counts)) if max(counts) > _count(passes[1], upright.spec) else None
    for index, (view, found) in enumerate(zip(views, turned, strict=True)):
        if index == right_way:
            passes += [found, *view.thorough_passes()]
        else:
            # The uncertain boxes of a photo that is turned the wrong way are noise.
            passes.append(_confident(found, upright.spec))
    return passes


@dataclass(frozen=True)
class _View:
    """A photo as the detector sees it, turned anticlockwise by `turns` quarters. Boxes are those of the photo.

    Scales are multiples of the base scale.
    """

    detector: FaceDetector
    spec: FaceSpec
    pixels: NDArray[np.uint8]
    turns: int = 0

    def detect_whole(self, scale: float) -> Detections:
        """Run one pass on the whole photo, which is enlarged no more than `_MAX_ENLARGEMENT` allows."""
        return self._detect(self.pixels, self._limited(scale))

    def shows_only_large_faces(self, coarse: Detections) -> bool:
        """Whether the coarse pass found large faces and nothing else that may be a face."""
        possible = merge_contained(coarse.select(coarse.confidences >= _UNLIKELY * self.spec.min_confidence))
        are_sure = possible.confidences >= self.spec.min_confidence
        return len(possible.boxes) > 0 and bool((self._are_large(possible, _COARSE) & are_sure).all())

    def may_have_small_faces(self, coarse: Detections) -> bool:
        """Whether the coarse pass found something small that may be a face."""
        possible = coarse.select(coarse.confidences >= _POSSIBLE * self.spec.min_confidence)
        return bool(self._are_small(merge_contained(possible), self._limited(_COARSE)).any())

    def large_faces(self, coarse: Detections, scale: float) -> Detections:
        """Return the boxes of a coarse pass at `scale` that count."""
        return coarse.select(self._are_large(coarse, scale))

    def thorough_passes(self) -> list[Detections]:
        """All passes of `HIGH` on this view; those after the first have boxes of every size."""
        coarse, middle, fine = _HIGH
        passes = [self.large_faces(self.detect_whole(coarse), coarse), self.detect_whole(middle)]
        if self._limited(fine) < _MIN_STEP * self._limited(middle):
            return passes
        passes.append(self.detect_whole(fine))
        return [*passes, *self.finer_passes(passes[-1], fine, always=True)]

    def finer_passes(self, found: Detections, scale: float, *, always: bool) -> list[Detections]:
        """Find faces that are too small for the pass at `scale`, which `found` some; unless `always`, if likely."""
        passes: list[Detections] = []
        previous = self._limited(scale)
        while True:
            finer = min(_FINER_STEP * previous, 1)
            least = _MIN_FINER_STEP
            if not always and not self._is_crowd(found, previous):
                if passes or _count(found, self.spec):
                    return passes
                least = _MIN_STEP_WITHOUT_FACES
            if finer < least * previous:
                return passes
            found, previous = self._detect_in_tiles(finer), finer
            passes.append(found)

    def _limited(self, scale: float) -> float:
        return min(scale * self._base_scale, _MAX_ENLARGEMENT)

    @property
    def _base_scale(self) -> float:
        height, width = self.pixels.shape[:2]
        return _base_scale(self.spec, width, height)

    @property
    def _large_face(self) -> float:
        """In net pixels."""
        return _LARGE_FACE * self.spec.smallest_face

    def _are_large(self, found: Detections, scale: float) -> NDArray[np.bool_]:
        """Return (n,) bool: whether each box is large enough for a coarse pass at `scale`."""
        least = _COARSE_FACE * self.spec.smallest_face / self._limited(scale)
        large: NDArray[np.bool_] = longer_sides(found.boxes) >= least
        return large

    def _is_crowd(self, found: Detections, scale: float) -> bool:
        """Whether a pass at `scale` found enough small faces."""
        likely = merge(found.select(found.confidences >= _LIKELY * self.spec.min_confidence))
        return bool(self._are_small(likely, scale).sum() >= _CROWD_SIZE)

    def _are_small(self, found: Detections, scale: float) -> NDArray[np.bool_]:
        """Return (n,) bool: whether each box is small in a pass at `scale`."""
        small: NDArray[np.bool_] = longer_sides(found.boxes) * scale < _SMALL_FACE * self.spec.smallest_face
        return small

    def _detect_in_tiles(self, scale: float) -> Detections:
        """Run one pass at `scale` in tiles, which bound the memory; they overlap by a large face."""
        height, width = self.pixels.shape[:2]
        side = max(_TILE_SIDE, _MIN_OVERLAPS_PER_TILE * self._large_face) / scale
        found = []
        for tile in cut(width, height, (side, side), overlap=self._large_face / scale):
            rows, columns = tile.rows, tile.columns
            in_tile = self._detect(self.pixels[rows.start : rows.end, columns.start : columns.end], scale)
            found.append(_whole_faces(in_tile, tile, width, height, margin=2 / scale))
        everything = Detections.concatenate(found)
        return everything.select(longer_sides(everything.boxes) <= self._large_face / scale)

    def _detect(self, pixels: NDArray[np.uint8], scale: float) -> Detections:
        height, width = pixels.shape[:2]
        size = _scaled(width, height, scale)
        if not self.turns:
            return self.detector.detect(pixels, size)
        # Only the resized copy is turned, which is small.
        halved, factor = halve(pixels, size)
        resized = cv2.resize(halved, size, interpolation=cv2.INTER_LINEAR)
        turned = cv2.rotate(resized, _ROTATIONS[self.turns]).astype(np.uint8, copy=False)
        found = self.detector.detect(turned, (turned.shape[1], turned.shape[0]))
        upright = found.turned_back(self.turns, *size)
        return upright.scaled(factor * halved.shape[1] / size[0], factor * halved.shape[0] / size[1])


def _confident(found: Detections, spec: FaceSpec) -> Detections:
    return found.select(found.confidences >= spec.min_confidence)


def _count(found: Detections, spec: FaceSpec) -> int:
    """The boxes that reach the confidence threshold."""
    return int((found.confidences >= spec.min_confidence).sum())


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


def _base_scale(spec: FaceSpec, width: int, height: int) -> float:
    area = math.sqrt(spec.input[0] * spec.input[1] / (width * height))
    return min(max(spec.input) / max(width, height), area, _MAX_ENLARGEMENT)


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))
