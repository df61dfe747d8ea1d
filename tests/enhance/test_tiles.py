"""Tiles: they cover a picture once, overlap as much as they must, and are no larger than they may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visage.enhance.tiles import Tile, cut

# Width, height, side, overlap and margin.
SIZES = st.tuples(
    st.integers(1, 300), st.integers(1, 300), st.integers(16, 200), st.integers(0, 50), st.integers(0, 50)
).filter(lambda each: each[2] >= 4 * each[3] and each[4] <= each[3])


def kept(tiles: tuple[Tile, ...], width: int, height: int) -> NDArray[np.int_]:
    """How many tiles keep each pixel."""
    counts = np.zeros((height, width), int)
    for tile in tiles:
        counts[tile.rows.kept_start : tile.rows.kept_end, tile.columns.kept_start : tile.columns.kept_end] += 1
    return counts


@settings(deadline=None)
@given(SIZES)
def test_every_pixel_is_kept_of_exactly_one_tile(size: tuple[int, int, int, int, int]) -> None:
    width, height, side, overlap, margin = size

    tiles = cut(width, height, side, overlap, margin)

    assert (kept(tiles, width, height) == 1).all()


@settings(deadline=None)
@given(SIZES)
def test_all_tiles_are_of_one_size_and_none_is_larger_than_allowed(size: tuple[int, int, int, int, int]) -> None:
    width, height, side, overlap, margin = size

    sizes = {
        (tile.columns.end - tile.columns.start, tile.rows.end - tile.rows.start)
        for tile in cut(width, height, side, overlap, margin)
    }

    assert len(sizes) == 1
    assert all(wide * high <= side * side for wide, high in sizes)


@settings(deadline=None)
@given(SIZES)
def test_a_tile_is_shown_the_overlap_on_every_side_that_is_not_the_pictures(
    size: tuple[int, int, int, int, int],
) -> None:
    width, height, side, overlap, margin = size

    spans = [
        (span, length)
        for tile in cut(width, height, side, overlap, margin)
        for span, length in ((tile.columns, width), (tile.rows, height))
    ]

    assert all(span.start == -margin or span.kept_start - span.start >= overlap for span, _ in spans)
    assert all(span.end == length + margin or span.end - span.kept_end >= overlap for span, length in spans)
    assert all(0 <= span.kept_start < span.kept_end <= length for span, length in spans)
    assert all(-margin <= span.start <= span.kept_start for span, _ in spans)
    assert all(span.kept_end <= span.end <= length + margin for span, length in spans)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 200), (180, 180), (324, 100)])
def test_a_picture_that_fits_into_a_tile_is_one(width: int, height: int) -> None:
    assert len(cut(width, height, side=180, overlap=6)) == 1


@pytest.mark.parametrize(
    ("width", "height", "side", "overlap", "size"),
    [
        # An EDSR of 16 pixels overlap: two by two are less work than strips.
        (1000, 800, 480, 16, (516, 416)),
        # A strip that is thinner than twice the overlap can only be cut across.
        (7, 1000, 40, 6, (7, 210)),
        # One pixel more than a tile: halves, not a tile of one pixel.
        (101, 100, 100, 6, (101, 56)),
    ],
)
def test_a_cut_is_the_one_with_the_least_work(
    width: int, height: int, side: int, overlap: int, size: tuple[int, int]
) -> None:
    tile = cut(width, height, side, overlap)[0]

    assert (tile.columns.end, tile.rows.end) == size


def test_the_longest_strip_is_cut_at_once() -> None:
    tiles = cut(65_500, 80, side=180, overlap=6)

    assert sum(tile.columns.kept_end - tile.columns.kept_start for tile in tiles) == 65_500
