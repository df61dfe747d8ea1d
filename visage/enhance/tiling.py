"""Enhance an image tile by tile, so that the net needs memory for one tile only."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from visage.enhance.net import EnhanceNet
from visage.enhance.steps import Steps, TilesDone
from visage.images.decoding import Pixels
from visage.images.tiles import Span, Tile, count_spans, cut, cut_with_border, span_length

# Makes a context in which the net may run.
Slot = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Tiling:
    """How images are cut into tiles, in pixels of the image.

    A tile has at most as many pixels as a square of `side`. It includes `overlap` pixels or more of each neighbour;
    `side` is at least four times that. The image gets a border of `margin` pixels, at most `overlap`, that repeats its
    outermost pixels. Inside the image, kept parts begin and end at multiples of `step` pixels.
    """

    side: int
    overlap: int
    margin: int = 0
    step: int = 1

    def with_step(self, step: int) -> "Tiling":
        """The same tiling with another step. Very small tiles become as large as the step and the overlap need."""
        return replace(self, side=max(self.side, 4 * (self.overlap + step - 1)), step=step)

    def cut(self, width: int, height: int) -> tuple[Tile, ...]:
        """The tiles of an image of `width` x `height`, in pixels of the image with its border.

        Of all cuts into tiles of one size it is the one with the fewest pixels in all tiles together.
        """
        width, height = width + 2 * self.margin, height + 2 * self.margin
        _, _, tile_width, tile_height = min(self._grids(width, height))
        tiles = cut(width, height, (tile_width, tile_height), self._shared, to_pixel=math.floor)
        return tuple(Tile(self._stepped(tile.rows, height), self._stepped(tile.columns, width)) for tile in tiles)

    @property
    def _shared(self) -> int:
        """The least number of pixels that neighbours share: each has `overlap` on its side of a border, which may move.

        The border moves by less than `step`.
        """
        return 2 * (self.overlap + self.step - 1)

    def _stepped(self, span: Span, length: int) -> Span:
        """Move the borders to neighbours back to multiples of `step` in the image."""

        def moved(border: int) -> int:
            return border if border in (0, length) else border - (border - self.margin) % self.step

        return replace(span, kept_start=moved(span.kept_start), kept_end=moved(span.kept_end))

    def _grids(self, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
        """The possible cuts: the pixels of all tiles together, the columns, and the width and height of a tile."""
        overlap = self._shared
        # Tiles narrower than half of `side` never have the fewest pixels.
        max_columns = min(2 * count_spans(width, self.side, overlap), width - overlap)
        for columns in range(1, max(1, max_columns) + 1):
            tile_width = span_length(width, columns, overlap)
            max_height = self.side**2 // tile_width
            if height <= max_height or max_height > overlap:
                rows = count_spans(height, max_height, overlap)
                tile_height = span_length(height, rows, overlap)
                yield columns * tile_width * rows * tile_height, columns, tile_width, tile_height


def enhance_in_tiles(net: EnhanceNet, pixels: Pixels, tiling: Tiling, *, scale: float, slot: Slot) -> Steps[Pixels]:
    """Enhance (h, w, 3) uint8 BGR pixels to `scale`, at most that of the net, a tile a step. Sides are rounded up.

    Each tile is enhanced in a `slot` of its own, and then shrunk to `scale` by its areas.
    """
    height, width = pixels.shape[:2]
    ratio = Fraction(scale)
    # So many pixels become whole pixels of the result.
    tiling = tiling.with_step(ratio.denominator)
    tiles = tiling.cut(width, height)
    enhanced = np.empty((math.ceil(ratio * height), math.ceil(ratio * width), 3), np.uint8)
    yield TilesDone(0, len(tiles))
    for done, tile in enumerate(tiles, 1):
        with slot():
            part = net.enhance(_pixels_of(tile, pixels, tiling.margin))
        (to_rows, from_rows), (to_columns, from_columns) = (
            _kept_slices(span, tiling.margin, length, net.scale, ratio)
            for span, length in ((tile.rows, height), (tile.columns, width))
        )
        kept = part[from_rows, from_columns]
        enhanced[to_rows, to_columns] = _shrink(kept, net.scale, ratio) if ratio < net.scale else kept
        yield TilesDone(done, len(tiles))
    return enhanced


def _pixels_of(tile: Tile, pixels: Pixels, margin: int) -> Pixels:
    corners = tile.columns.start, tile.rows.start, tile.columns.end, tile.rows.end
    return cut_with_border(pixels, *(edge - margin for edge in corners))


def _kept_slices(span: Span, margin: int, length: int, net_scale: int, scale: Fraction) -> tuple[slice, slice]:
    """Where the kept part of a tile goes in the result, and where it is in the enhanced tile."""
    start, end = max(span.kept_start, margin), min(span.kept_end, margin + length)
    in_image = slice(math.ceil(scale * (start - margin)), math.ceil(scale * (end - margin)))
    in_tile = slice(net_scale * (start - span.start), net_scale * (end - span.start))
    return in_image, in_tile


def _shrink(enhanced: Pixels, net_scale: int, scale: Fraction) -> Pixels:
    """Shrink pixels that were enhanced by `net_scale` as if by `scale`: each pixel is the mean of its area.

    Where the last pixel of the result is only partly inside the image, the outermost pixels are repeated.
    """
    height, width = (side // net_scale for side in enhanced.shape[:2])
    missing_rows, missing_columns = -height % scale.denominator, -width % scale.denominator
    bottom, right = net_scale * missing_rows, net_scale * missing_columns
    whole = cv2.copyMakeBorder(enhanced, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    size = int(scale * (width + missing_columns)), int(scale * (height + missing_rows))
    shrunk = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    return shrunk[: math.ceil(scale * height), : math.ceil(scale * width)].astype(np.uint8, copy=False)
