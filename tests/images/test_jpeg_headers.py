"""The size and the scans of a JPEG are found among its segments."""

import struct

import pytest

from tests.images.headers import BARE_JPEG
from tests.support.pictures import jpeg_frame, jpeg_segment, many_scans_jpeg
from visage.errors import UndecodableImage
from visage.images.headers import ImageHeader, read_header


def test_fill_bytes_may_precede_a_marker() -> None:
    filled = b"\xff\xd8" + 9 * b"\xff" + jpeg_segment(0xFE, b"hi") + 3 * b"\xff" + BARE_JPEG[2:]

    assert read_header(filled) == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA])
def test_every_kind_of_frame_gives_the_size(marker: int) -> None:
    assert read_header(b"\xff\xd8" + jpeg_frame(21, 34, marker) + b"\xff\xd9") == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_tables_are_not_read_as_frames(marker: int) -> None:
    tables = jpeg_segment(marker, struct.pack(">BHH", 8, 9999, 9999))

    assert read_header(b"\xff\xd8" + tables + BARE_JPEG[2:]) == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD7, 0xD8])
def test_a_size_cannot_hide_behind_a_marker_without_a_length(marker: int) -> None:
    # Decoders find the large frame. A reader that skips it as the content of a segment finds the small one.
    hidden = jpeg_segment(marker, jpeg_frame(20000, 20000))

    with pytest.raises(UndecodableImage):
        read_header(b"\xff\xd8" + hidden + BARE_JPEG[2:])


def test_a_jpeg_may_have_a_hundred_scans() -> None:
    assert read_header(many_scans_jpeg(100)) == ImageHeader("JPEG", 8, 8)


def test_a_jpeg_with_more_scans_is_rejected() -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101))


@pytest.mark.parametrize("hidden", [b"\xff\xd9", b"\xff\xff\xd9", b"\xff"])
def test_scans_after_a_comment_that_looks_like_the_end_are_counted(hidden: bytes) -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101, jpeg_segment(0xFE, hidden)))


def test_bytes_like_scans_in_a_segment_or_after_the_image_do_not_count() -> None:
    many = 1000 * b"\xff\xda"

    assert read_header(many_scans_jpeg(10, jpeg_segment(0xE2, many)) + many) == ImageHeader("JPEG", 8, 8)


@pytest.mark.parametrize(("components", "error"), [(1, "more than 100 scans"), (3, None)])
def test_scans_of_a_baseline_jpeg_count_unless_the_first_has_every_component(
    components: int, error: str | None
) -> None:
    frame = jpeg_segment(0xC0, struct.pack(">BHHB9B", 8, 8, 8, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    selectors = bytes(value for component in range(1, components + 1) for value in (component, 0))
    scan = jpeg_segment(0xDA, bytes([components]) + selectors + bytes([0, 63, 0]))
    data = b"\xff\xd8" + frame + 101 * scan + b"\xff\xd9"

    if error:
        with pytest.raises(UndecodableImage, match=error):
            read_header(data)
    else:
        assert read_header(data) == ImageHeader("JPEG", 8, 8)
