"""A picture in tiles: how it is cut, and how it is enlarged tile by tile, so that a net needs memory for one alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from visage.enhance.net import EnhanceNet
from visage.images.decoding import Pixels


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of the picture: `start` to `end` is shown to the net, in which a margin around the
    picture may be; `kept_start` to `kept_end` stays of it.
    """

    start: int
    end: int
    kept_start: int
    kept_end: int


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span


def cut(width: int, height: int, side: int, overlap: int, margin: int = 0) -> tuple[Tile, ...]:
    """The tiles of a picture: none has more pixels than a square of `side`, which must be four times `overlap` or more.

    What is kept covers the picture once. Each tile is shown at least `overlap` pixels more on every side; where the
    picture ends `margin`, which is no more than that. All tiles are of one size, because a net is laid out anew for
    every other; of all such cuts it is the one with the fewest pixels shown.
    """
    _, columns, rows = min(_grids(width + 2 * margin, height + 2 * margin, side, overlap))
    across = _spans(width, columns, overlap, margin)
    return tuple(Tile(row, column) for row in _spans(height, rows, overlap, margin) for column in across)


def _grids(width: int, height: int, side: int, overlap: int) -> Iterator[tuple[int, int, int]]:
    """The cuts that `side` allows: the pixels shown in all, the columns and the rows."""
    # Tiles that are narrower than half of `side` are never those with the fewest pixels.
    narrowest = 2 * _fewest(width, side, overlap)
    for columns in range(1, max(1, min(narrowest, width - 2 * overlap)) + 1):
        tile_width = _shown(width, columns, overlap)
        highest = side * side // tile_width
        if height <= highest or highest > 2 * overlap:
            rows = _fewest(height, highest, overlap)
            yield columns * tile_width * rows * _shown(height, rows, overlap), columns, rows


def _fewest(length: int, most: int, overlap: int) -> int:
    """How many spans of `most` pixels it takes."""
    return 1 if length <= most else -(-(length - 2 * overlap) // (most - 2 * overlap))


def _shown(length: int, count: int, overlap: int) -> int:
    """The pixels that each of `count` equal spans is shown, rounded up: all but the first and last overlap twice."""
    return -(-(length + 2 * overlap * (count - 1)) // count)


def _spans(length: int, count: int, overlap: int, margin: int) -> list[Span]:
    whole = length + 2 * margin
    shown = _shown(whole, count, overlap)
    starts = [index * (whole - shown) // max(1, count - 1) - margin for index in range(count)]
    # Neighbours share at least twice the overlap; each keeps half of it.
    cuts = [0, *((earlier + shown + later) // 2 for earlier, later in pairwise(starts)), length]
    return [Span(start, start + shown, *cuts[index : index + 2]) for index, start in enumerate(starts)]


# Told how many tiles of how many are done: none as yet, and then one more after each.
Progress = Callable[[int, int], object]

# Entered for as long as there is something to compute.
Turn = Callable[[], AbstractContextManager[object]]


def no_progress(_done: int, _tiles: int) -> None: ...


def enlarge(
    net: EnhanceNet, pixels: Pixels, tiles: Sequence[Tile], margin: int, *, turn: Turn, progress: Progress
) -> Pixels:
    """(h, w, 3) uint8 BGR pixels as (scale h, scale w, 3), each of `tiles` by itself, in a `turn` of its own.

    The tiles were cut with that `margin`, in which the picture's outermost pixels are repeated. `progress` is told
    before the first and after each.
    """
    height, width = pixels.shape[:2]
    scale = net.scale
    enlarged = np.empty((scale * height, scale * width, 3), np.uint8)
    padded = cv2.copyMakeBorder(pixels, margin, margin, margin, margin, cv2.BORDER_REPLICATE).astype(
        np.uint8, copy=False
    )
    progress(0, len(tiles))
    for done, tile in enumerate(tiles, 1):
        rows, columns = tile.rows, tile.columns
        with turn():
            part = net.enlarge(_part_shown(padded, tile, margin))
        top, left = scale * rows.start, scale * columns.start
        kept_rows = slice(scale * rows.kept_start, scale * rows.kept_end)
        kept_columns = slice(scale * columns.kept_start, scale * columns.kept_end)
        enlarged[kept_rows, kept_columns] = part[_shifted(kept_rows, top), _shifted(kept_columns, left)]
        progress(done, len(tiles))
    return enlarged


def _part_shown(padded: Pixels, tile: Tile, margin: int) -> Pixels:
    rows, columns = tile.rows, tile.columns
    return padded[rows.start + margin : rows.end + margin, columns.start + margin : columns.end + margin]


def _shifted(kept: slice, start: int) -> slice:
    return slice(kept.start - start, kept.stop - start)
