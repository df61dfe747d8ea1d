"""A header has the type, size, orientation and transparency of an image; other types are rejected by name."""

import struct

import pytest

from tests.images.headers import BARE_JPEG, SAMPLES
from tests.support.pictures import GIF, PDF, SVG, ZIP, bmp, exif, jpeg_segment, png, png_chunk, with_exif
from visage.errors import UnsupportedType
from visage.images.headers import ImageHeader, read_header


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("jpeg", ImageHeader("JPEG", 34, 21, held_bytes_per_pixel=0)),
        ("progressive jpeg", ImageHeader("JPEG", 34, 21, bytes_per_pixel=6, held_bytes_per_pixel=3)),
        ("jpeg with exif", ImageHeader("JPEG", 34, 21, orientation=6, held_bytes_per_pixel=0)),
        ("png", ImageHeader("PNG", 34, 21)),
        ("png with alpha and exif", ImageHeader("PNG", 34, 21, orientation=6, has_alpha=True, bytes_per_pixel=8)),
        ("palette png", ImageHeader("PNG", 34, 21)),
        ("animated png", ImageHeader("PNG", 34, 21)),
        ("webp", ImageHeader("WebP", 34, 21)),
        ("webp without loss", ImageHeader("WebP", 34, 21, has_alpha=True, bytes_per_pixel=8)),
        ("webp with alpha and exif", ImageHeader("WebP", 34, 21, orientation=6, has_alpha=True, bytes_per_pixel=8)),
        ("animated webp", ImageHeader("WebP", 34, 21, has_alpha=True, bytes_per_pixel=8)),
        ("bmp", ImageHeader("BMP", 34, 21)),
    ],
)
def test_a_header_has_type_size_orientation_and_transparency(name: str, header: ImageHeader) -> None:
    assert read_header(SAMPLES[name]) == header


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (3, 2)), (2, (3, 2)), (4, (3, 2)), (5, (2, 3)), (6, (2, 3)), (8, (2, 3))]
)
def test_the_upright_size_swaps_sides_for_rotated_images(orientation: int, size: tuple[int, int]) -> None:
    assert ImageHeader("JPEG", 3, 2, orientation).upright_size == size


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("GIF", GIF),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("JPEG 2000", b"\xff\x4f\xff\x51\0\x29"),
        ("JPEG XL", b"\xff\x0a\xfa\x7f"),
        ("PDF", PDF),
        ("PDF", b"\r\n" + PDF),
        ("SVG", SVG),
        ("SVG", b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawn by hand -->\n' + SVG),
        ("SVG", b"\xef\xbb\xbf\n  " + SVG),
        ("SVG", b"<!DOCTYPE svg>" + SVG),
        ("ZIP", ZIP),
        ("This kind of file", b"just some text"),
        ("This kind of file", b"<!DOCTYPE html><html></html>"),
        ("This kind of file", b"RIFF\x10\0\0\0WAVEfmt "),
        ("This kind of file", b"BM, and no picture at all"),
        ("This kind of file", b"\xff"),
    ],
)
def test_the_error_names_the_rejected_type(name: str, content: bytes) -> None:
    with pytest.raises(UnsupportedType) as caught:
        read_header(content)

    assert str(caught.value) == (
        f"{name} is not accepted; send the photo as JPEG, PNG, WebP or BMP, or as HEIC, AVIF or TIFF where their "
        "decoders are installed."
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_in_either_byte_order(orientation: int, order: str) -> None:
    header = read_header(with_exif(BARE_JPEG, exif(orientation, order)))

    assert header.orientation == orientation


@pytest.mark.parametrize(
    "tiff",
    [
        pytest.param(b"", id="empty"),
        pytest.param(exif(0), id="orientation 0"),
        pytest.param(exif(9), id="orientation 9"),
        pytest.param(exif(65535), id="orientation 65535"),
        pytest.param(exif(6, kind=4), id="wrong type"),
        pytest.param(b"XX" + exif(6)[2:], id="unknown byte order"),
        pytest.param(exif(6, directory=0), id="directory that is the header itself"),
        pytest.param(exif(6, directory=2**32 - 1), id="directory out of bounds"),
        pytest.param(exif(6)[:-12], id="cut in the entry"),
        pytest.param(exif(6)[:9], id="cut in the count"),
        pytest.param(exif(6)[:6], id="cut in the header"),
        pytest.param(b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(40), id="more entries than bytes"),
        pytest.param(b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + exif(6)[10:], id="no entries"),
    ],
)
def test_an_invalid_orientation_is_upright(tiff: bytes) -> None:
    assert read_header(with_exif(BARE_JPEG, tiff)) == ImageHeader("JPEG", 34, 21, 1, held_bytes_per_pixel=0)


def test_the_orientation_may_follow_other_entries() -> None:
    other = struct.pack("<HHII", 0x010F, 2, 4, 0x41414141)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + other + exif(3)[10:]

    assert read_header(with_exif(BARE_JPEG, tiff)).orientation == 3


@pytest.mark.parametrize("later", [exif(3), b""])
def test_the_first_exif_chunk_of_a_png_decides(later: bytes) -> None:
    chunks = png_chunk(b"eXIf", exif(6)), png_chunk(b"eXIf", later)

    assert read_header(png(1, 1, 8, 2, b"\0\1\2\3", *chunks)).orientation == 6


def test_another_segment_with_the_same_marker_is_no_exif() -> None:
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + exif(6))

    assert read_header(b"\xff\xd8" + xmp + BARE_JPEG[2:]).orientation == 1


def test_a_transparent_colour_of_a_png_counts_as_alpha() -> None:
    with_key = png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", bytes(6)))

    assert read_header(with_key).has_alpha


@pytest.mark.parametrize(
    ("content", "header"),
    [
        pytest.param(bmp(34, -21, 24, 0, b""), ImageHeader("BMP", 34, 21), id="rows from the top"),
        pytest.param(
            b"BM" + bytes(12) + struct.pack("<IHH", 12, 34, 21), ImageHeader("BMP", 34, 21), id="header of OS/2"
        ),
    ],
)
def test_both_kinds_of_bmp_headers_are_read(content: bytes, header: ImageHeader) -> None:
    assert read_header(content) == header


def test_empty_chunks_to_the_end_of_a_webp_are_skipped() -> None:
    size = struct.pack("<I", 22 + 10**5)
    canvas = struct.pack("<I3s3s", 0, (33).to_bytes(3, "little"), (20).to_bytes(3, "little"))

    header = read_header(b"RIFF" + size + b"WEBPVP8X\x0a\0\0\0" + canvas + bytes(10**5))

    assert header == ImageHeader("WebP", 34, 21)
