"""The size and the scans of a JPEG are found among its segments."""

import struct
from functools import partial

import pytest

from tests.images.headers import BARE_JPEG
from tests.images.photos import PHOTO, assert_alike, read
from tests.support.pictures import encode, exif, jpeg_frame, jpeg_segment, many_scans_jpeg, with_exif
from visage.errors import UndecodableImage, UnsupportedType
from visage.images.headers import ImageHeader, is_image, read_header

PHOTO_JPEG = encode(PHOTO, "JPEG")

# Most JPEGs hold no memory when they are decoded at a reduced size.
GREY_PROGRESSIVE = ImageHeader("JPEG", 8, 8, held_bytes_per_pixel=2)
BASELINE = partial(ImageHeader, "JPEG", held_bytes_per_pixel=0)


def test_fill_bytes_may_precede_a_marker() -> None:
    filled = b"\xff\xd8" + 9 * b"\xff" + jpeg_segment(0xFE, b"hi") + 3 * b"\xff" + BARE_JPEG[2:]

    assert read_header(filled) == BASELINE(width=34, height=21)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_every_kind_of_frame_gives_the_size(marker: int) -> None:
    assert read_header(b"\xff\xd8" + jpeg_frame(21, 34, marker) + b"\xff\xd9") == BASELINE(width=34, height=21)


@pytest.mark.parametrize(
    ("marker", "precision", "kind"),
    [
        (0xC3, 8, "lossless or hierarchical coding"),
        (0xC5, 8, "lossless or hierarchical coding"),
        (0xC9, 8, "arithmetic coding"),
        (0xCA, 8, "arithmetic coding"),
        (0xC1, 12, "12 bits per channel"),
        (0xC2, 12, "12 bits per channel"),
    ],
)
def test_rare_kinds_are_rejected_by_name(marker: int, precision: int, kind: str) -> None:
    frame = jpeg_segment(marker, bytes([precision]) + jpeg_frame(21, 34)[5:])
    data = b"\xff\xd8" + frame + b"\xff\xd9"

    with pytest.raises(UnsupportedType, match=f"^A JPEG with {kind} is not accepted; save it as an ordinary JPEG.$"):
        read_header(data)
    assert is_image(data)


def test_the_first_exif_segment_decides() -> None:
    second = jpeg_segment(0xE1, b"Exif\0\0" + exif(3))
    empty = jpeg_segment(0xE1, b"Exif\0\0")

    for later in (second, empty, jpeg_segment(0xE1, b"Exif\0\0" + bytes(1000))):
        upright = with_exif(b"\xff\xd8" + later + BARE_JPEG[2:], exif(6))
        assert read_header(upright).orientation == 6
    assert read_header(b"\xff\xd8" + empty + second + BARE_JPEG[2:]).orientation == 1


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(b"ab", id="two bytes"),
        pytest.param(b"\0\xe1\0\4ab", id="a segment that lost its first byte"),
        pytest.param(b"\xff\0\xff\0", id="stuffed bytes"),
        pytest.param(b"\xff\1", id="TEM"),
        pytest.param(b"\xff\xd0", id="a restart"),
        pytest.param(b"\xff\xe2\0\0", id="a segment of length 0"),
        pytest.param(bytes(10**5), id="many zeros"),
    ],
)
def test_bytes_between_segments_are_skipped(stray: bytes) -> None:
    data = b"\xff\xd8" + jpeg_segment(0xFE, b"hi") + stray + PHOTO_JPEG[2:]

    assert read_header(data) == BASELINE(width=83, height=61)
    assert_alike(read(data).pixels, read(PHOTO_JPEG).pixels, 0)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_tables_are_not_read_as_frames(marker: int) -> None:
    tables = jpeg_segment(marker, struct.pack(">BHH", 8, 9999, 9999))

    assert read_header(b"\xff\xd8" + tables + BARE_JPEG[2:]) == BASELINE(width=34, height=21)


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD7, 0xD8])
def test_a_size_cannot_hide_behind_a_marker_without_a_length(marker: int) -> None:
    # Decoders find the large frame. A reader that skips it as the content of a segment finds the small one.
    hidden = jpeg_segment(marker, jpeg_frame(20000, 20000))

    with pytest.raises(UndecodableImage):
        read_header(b"\xff\xd8" + hidden + BARE_JPEG[2:])


def test_a_jpeg_may_have_a_hundred_scans() -> None:
    assert read_header(many_scans_jpeg(100)) == GREY_PROGRESSIVE


def test_a_jpeg_with_more_scans_is_rejected() -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101))


@pytest.mark.parametrize("hidden", [b"\xff\xd9", b"\xff\xff\xd9", b"\xff"])
def test_scans_after_a_comment_that_looks_like_the_end_are_counted(hidden: bytes) -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101, jpeg_segment(0xFE, hidden)))


def test_bytes_like_scans_in_a_segment_or_after_the_image_do_not_count() -> None:
    many = 1000 * b"\xff\xda"

    assert read_header(many_scans_jpeg(10, jpeg_segment(0xE2, many)) + many) == ImageHeader(
        "JPEG", 8, 8, held_bytes_per_pixel=2
    )


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
        assert read_header(data) == BASELINE(width=8, height=8)
