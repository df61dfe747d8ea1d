"""The tiles of an enhanced image: they cover it once, overlap enough, and are no larger than allowed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visage.enhance.tiling import Tiling
from visage.images.tiles import Tile

# Width, height, side, overlap and margin.
SIZES = st.tuples(
    st.integers(1, 300), st.integers(1, 300), st.integers(16, 200), st.integers(0, 50), st.integers(0, 50)
).filter(lambda each: each[2] >= 4 * each[3] and each[4] <= each[3])


def times_kept(tiles: tuple[Tile, ...], width: int, height: int) -> NDArray[np.int_]:
    """How many tiles keep each pixel: (height, width)."""
    counts = np.zeros((height, width), int)
    for tile in tiles:
        counts[tile.rows.kept_start : tile.rows.kept_end, tile.columns.kept_start : tile.columns.kept_end] += 1
    return counts


@settings(deadline=None)
@given(SIZES)
def test_every_pixel_is_kept_by_exactly_one_tile(size: tuple[int, int, int, int, int]) -> None:
    width, height, side, overlap, margin = size

    tiles = Tiling(side, overlap, margin).cut(width, height)

    assert (times_kept(tiles, width + 2 * margin, height + 2 * margin) == 1).all()


@settings(deadline=None)
@given(SIZES)
def test_all_tiles_have_one_size_that_is_not_larger_than_allowed(size: tuple[int, int, int, int, int]) -> None:
    width, height, side, overlap, margin = size

    sizes = {
        (tile.columns.end - tile.columns.start, tile.rows.end - tile.rows.start)
        for tile in Tiling(side, overlap, margin).cut(width, height)
    }

    assert len(sizes) == 1
    assert all(wide * high <= side * side for wide, high in sizes)


@settings(deadline=None)
@given(SIZES)
def test_a_tile_includes_the_overlap_on_every_side_inside_the_image(size: tuple[int, int, int, int, int]) -> None:
    width, height, side, overlap, margin = size

    spans = [
        (span, length)
        for tile in Tiling(side, overlap, margin).cut(width, height)
        for span, length in ((tile.columns, width + 2 * margin), (tile.rows, height + 2 * margin))
    ]

    assert all(span.start == 0 or span.kept_start - span.start >= overlap for span, _ in spans)
    assert all(span.end == length or span.end - span.kept_end >= overlap for span, length in spans)
    assert all(0 <= span.start <= span.kept_start for span, _ in spans)
    assert all(span.kept_end <= span.end <= length for span, length in spans)
    # Without the border, too, every tile keeps something.
    assert all(max(span.kept_start, margin) < min(span.kept_end, length - margin) for span, length in spans)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 200), (180, 180), (324, 100)])
def test_an_image_that_fits_into_a_tile_is_one_tile(width: int, height: int) -> None:
    assert len(Tiling(180, 6).cut(width, height)) == 1


@pytest.mark.parametrize(
    ("width", "height", "side", "overlap", "size"),
    [
        # EDSR with 16 pixels of overlap: two by two have fewer pixels than strips.
        (1000, 800, 480, 16, (516, 416)),
        # A strip narrower than twice the overlap can only be cut across.
        (7, 1000, 40, 6, (7, 210)),
        # One pixel more than a tile: two halves, not a tile of one pixel.
        (101, 100, 100, 6, (101, 56)),
    ],
)
def test_the_cut_has_the_fewest_pixels(width: int, height: int, side: int, overlap: int, size: tuple[int, int]) -> None:
    tile = Tiling(side, overlap).cut(width, height)[0]

    assert (tile.columns.end, tile.rows.end) == size


def test_the_longest_strip_is_cut_quickly() -> None:
    tiles = Tiling(180, 6).cut(65_500, 80)

    assert sum(tile.columns.kept_end - tile.columns.kept_start for tile in tiles) == 65_500
