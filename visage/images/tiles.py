"""Cut an image into overlapping tiles of one size, so that a net needs memory for one tile only."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of the image: `start` (inclusive) to `end` (exclusive).

    `kept_start` to `kept_end` is the part of it that belongs to this tile alone: neighbours share half of their overlap
    each. The kept parts of all tiles cover the image exactly once.
    """

    start: int
    end: int
    kept_start: int
    kept_end: int


@dataclass(frozen=True)
class Tile:
    rows: Span
    columns: Span


def cut(
    width: int,
    height: int,
    largest: tuple[float, float],
    overlap: float,
    *,
    to_pixel: Callable[[float], int] = round,
) -> tuple[Tile, ...]:
    """Cut an image into the fewest tiles of at most `largest` (width, height), row by row.

    Neighbours overlap by at least `overlap` pixels. `largest` must be more than `overlap` on a side that is cut. All
    tiles have the same size, because a net allocates memory and rearranges its weights for every new input size.
    Positions are evenly spaced, and `to_pixel` makes them whole numbers.
    """
    columns = _spans(width, largest[0], overlap, to_pixel)
    return tuple(Tile(rows, each) for rows in _spans(height, largest[1], overlap, to_pixel) for each in columns)


def count_spans(length: int, longest: float, overlap: float) -> int:
    """How many spans of at most `longest` pixels cover `length` pixels if neighbours overlap by `overlap` or more."""
    return 1 if length <= longest else math.ceil((length - overlap) / (longest - overlap))


def span_length(length: int, count: int, overlap: float) -> int:
    """The length of `count` equal spans that cover `length` pixels and overlap by `overlap` or more, rounded up."""
    return math.ceil((length + (count - 1) * overlap) / count)


def cut_with_border(pixels: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """Return columns `left` to `right` and rows `top` to `bottom` of (h, w, 3) uint8 `pixels`.

    Where they are outside the image, its outermost pixels are repeated. An enlarged copy of the whole image would take
    more memory.
    """
    height, width = pixels.shape[:2]
    inside = pixels[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    outside = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    return cv2.copyMakeBorder(inside, *outside, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _spans(length: int, longest: float, overlap: float, to_pixel: Callable[[float], int]) -> list[Span]:
    count = count_spans(length, longest, overlap)
    size = span_length(length, count, overlap)
    starts = [to_pixel(index * (length - size) / max(1, count - 1)) for index in range(count)]
    borders = [0, *((earlier + size + later) // 2 for earlier, later in pairwise(starts)), length]
    return [Span(start, start + size, *borders[index : index + 2]) for index, start in enumerate(starts)]
