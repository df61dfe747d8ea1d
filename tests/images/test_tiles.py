"""Tiles: the fewest of one size that cover an image and overlap enough."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visage.images.tiles import cut


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(20, 700), st.integers(0, 19))
def test_tiles_have_one_size_and_cover_the_image_with_their_overlap(
    width: int, height: int, side: int, overlap: int
) -> None:
    tiles = cut(width, height, (side, side), overlap)

    assert len({(each.columns.end - each.columns.start, each.rows.end - each.rows.start) for each in tiles}) == 1
    for spans, length in (([each.columns for each in tiles], width), ([each.rows for each in tiles], height)):
        starts = sorted({each.start for each in spans})
        size = spans[0].end - spans[0].start
        assert size <= side
        assert (starts[0], starts[-1] + size) == (0, length)
        assert all(later - earlier <= size - overlap for earlier, later in pairwise(starts))


@pytest.mark.parametrize(("length", "count"), [(100, 1), (101, 2), (180, 2), (181, 3)])
def test_an_image_has_as_few_tiles_as_possible(length: int, count: int) -> None:
    assert len(cut(length, 1, (100, 100), 20)) == count


@pytest.mark.parametrize("length", [1, 100, 101, 150, 180, 181, 999, 5000])
def test_spans_cover_a_row_of_any_length_with_enough_overlap(length: int) -> None:
    spans = [(tile.columns.start, tile.columns.end) for tile in cut(length, 1, (100, 100), overlap=20)]

    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(end - start <= 101 for start, end in spans)
    assert len({end - start for start, end in spans}) == 1
    assert all(before[1] - after[0] >= 19 for before, after in pairwise(spans))
