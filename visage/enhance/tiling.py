"""Enhance an image tile by tile, so that the net needs memory for one tile only."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import cv2
import numpy as np

from visage.enhance.net import EnhanceNet
from visage.images.decoding import Pixels
from visage.images.tiles import Span, Tile, count_spans, cut, span_length

# Called with the number of tiles that are done and the number of all tiles: before the first tile, and after each.
Progress = Callable[[int, int], object]

# Makes a context in which the net may run.
Slot = Callable[[], AbstractContextManager[object]]


def no_progress(_done: int, _tiles: int) -> None: ...


@dataclass(frozen=True)
class Tiling:
    """How images are cut into tiles, in pixels of the image.

    A tile has at most as many pixels as a square of `side`. It includes `overlap` pixels or more of each neighbour;
    `side` is at least four times that. The image gets a border of `margin` pixels, at most `overlap`, that repeats its
    outermost pixels.
    """

    side: int
    overlap: int
    margin: int = 0

    def cut(self, width: int, height: int) -> tuple[Tile, ...]:
        """The tiles of an image of `width` x `height`, in pixels of the image with its border.

        Of all cuts into tiles of one size it is the one with the fewest pixels in all tiles together.
        """
        width, height = width + 2 * self.margin, height + 2 * self.margin
        _, _, tile_width, tile_height = min(self._grids(width, height))
        return cut(width, height, (tile_width, tile_height), 2 * self.overlap, to_pixel=math.floor)

    def _grids(self, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
        """The possible cuts: the pixels of all tiles together, the columns, and the width and height of a tile."""
        # Neighbours overlap by `overlap` on both sides of their border.
        overlap = 2 * self.overlap
        # Tiles narrower than half of `side` never have the fewest pixels.
        max_columns = min(2 * count_spans(width, self.side, overlap), width - overlap)
        for columns in range(1, max(1, max_columns) + 1):
            tile_width = span_length(width, columns, overlap)
            max_height = self.side**2 // tile_width
            if height <= max_height or max_height > overlap:
                rows = count_spans(height, max_height, overlap)
                tile_height = span_length(height, rows, overlap)
                yield columns * tile_width * rows * tile_height, columns, tile_width, tile_height


def enhance_in_tiles(net: EnhanceNet, pixels: Pixels, tiling: Tiling, *, slot: Slot, progress: Progress) -> Pixels:
    """Enhance (h, w, 3) uint8 BGR pixels to (scale h, scale w, 3). Each tile is enhanced in a `slot` of its own.

    An exception of `progress` ends the work.
    """
    height, width = pixels.shape[:2]
    scale, margin = net.scale, tiling.margin
    tiles = tiling.cut(width, height)
    enhanced = np.empty((scale * height, scale * width, 3), np.uint8)
    padded = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    progress(0, len(tiles))
    for done, tile in enumerate(tiles, 1):
        rows, columns = tile.rows, tile.columns
        with slot():
            part = net.enhance(np.asarray(padded[rows.start : rows.end, columns.start : columns.end], np.uint8))
        (to_rows, from_rows), (to_columns, from_columns) = (
            _kept_slices(span, margin, length, scale) for span, length in ((rows, height), (columns, width))
        )
        enhanced[to_rows, to_columns] = part[from_rows, from_columns]
        progress(done, len(tiles))
    return enhanced


def _kept_slices(span: Span, margin: int, length: int, scale: int) -> tuple[slice, slice]:
    """Where the kept part of a tile goes in the enhanced image, and where it is in the enhanced tile."""
    start, end = max(span.kept_start, margin), min(span.kept_end, margin + length)
    in_image = slice(scale * (start - margin), scale * (end - margin))
    in_tile = slice(scale * (start - span.start), scale * (end - span.start))
    return in_image, in_tile
