"""Every accepted kind of image is decoded to its colours, within the limit of pixels."""

import struct

import numpy as np
import pytest

from tests.images.photos import BLUE, GREEN, GREY, LIMIT, PHOTO, RED, assert_alike, read
from tests.support.pictures import ZIP, animation, bmp, encode, encode_16_bit, gradient, many_scans_jpeg, png, png_chunk
from visage.errors import EmptyImage, ImageTooLarge, UndecodableImage
from visage.images.decoding import decode, inspect
from visage.images.headers import read_header

# The 256 colours of a BMP.
PALETTE = bytes([*RED, 0, *GREEN, 0, 30, 20, 10, 0, *BLUE, 0]) + bytes(4 * 252)


def test_no_bytes_are_an_empty_image() -> None:
    with pytest.raises(EmptyImage):
        inspect(b"", LIMIT)


def test_the_limit_of_pixels_is_checked_before_decoding() -> None:
    huge = png(50_000, 50_000, 8, 2, b"")

    with pytest.raises(ImageTooLarge, match="50000 x 50000 pixels; at most 50,000,000 in all"):
        inspect(huge, LIMIT)


def test_an_image_of_exactly_the_limit_is_accepted() -> None:
    assert inspect(encode(PHOTO, "PNG"), 61 * 83).width == 83


def test_an_image_above_the_limit_is_rejected() -> None:
    with pytest.raises(ImageTooLarge):
        inspect(encode(PHOTO, "PNG"), 61 * 83 - 1)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        pytest.param(encode(PHOTO, "JPEG", quality=95), 8, id="JPEG"),
        pytest.param(encode(PHOTO, "JPEG", quality=95, progressive=True), 8, id="progressive JPEG"),
        pytest.param(encode(PHOTO, "JPEG", quality=95, restart_marker_blocks=3), 8, id="JPEG with restarts"),
        pytest.param(encode(PHOTO, "JPEG", quality=95) + ZIP, 8, id="JPEG with a ZIP behind it"),
        pytest.param(encode(PHOTO, "JPEG", "CMYK", quality=95), 12, id="CMYK JPEG"),
        pytest.param(encode(PHOTO, "PNG"), 0, id="PNG"),
        pytest.param(encode_16_bit(PHOTO), 0, id="16-bit PNG"),
        pytest.param(animation("PNG", PHOTO, PHOTO[::-1]), 0, id="animated PNG"),
        pytest.param(encode(PHOTO, "WEBP", quality=100), 12, id="WebP"),
        pytest.param(encode(PHOTO, "WEBP", lossless=True), 0, id="WebP without loss"),
        pytest.param(animation("WEBP", PHOTO, PHOTO[::-1]), 0, id="animated WebP"),
        pytest.param(encode(PHOTO, "BMP"), 0, id="BMP"),
    ],
)
def test_a_colour_image_keeps_its_colours(data: bytes, tolerance: int) -> None:
    assert_alike(read(data).pixels, PHOTO, tolerance)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        pytest.param(encode(GREY, "JPEG", quality=95), 4, id="JPEG"),
        pytest.param(encode(GREY, "PNG"), 0, id="PNG"),
        pytest.param(encode_16_bit(GREY), 0, id="16-bit PNG"),
        pytest.param(encode(GREY, "BMP"), 0, id="BMP"),
        pytest.param(encode(GREY, "WEBP", lossless=True), 0, id="WebP"),
    ],
)
def test_a_grey_image_gets_three_equal_channels(data: bytes, tolerance: int) -> None:
    assert_alike(read(data).pixels, np.dstack([GREY] * 3), tolerance)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(3, 1, 8, 3, b"\0\2\0\1", png_chunk(b"PLTE", b"\xff\0\0\0\xff\0\x0a\x14\x1e")), id="PNG"),
        pytest.param(
            png(3, 1, 4, 3, b"\0\x20\x10", png_chunk(b"PLTE", b"\xff\0\0\0\xff\0\x0a\x14\x1e")), id="4-bit PNG"
        ),
        pytest.param(bmp(3, 1, 8, 0, b"\2\0\1\0", PALETTE), id="BMP"),
        pytest.param(bmp(3, 1, 4, 0, b"\x20\x10\0\0", PALETTE[:64]), id="4-bit BMP"),
    ],
)
def test_a_palette_is_applied(data: bytes) -> None:
    assert read(data).pixels.tolist() == [[[30, 20, 10], list(RED), list(GREEN)]]


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_one_bit_is_black_or_white(kind: str) -> None:
    halves = np.repeat(np.array([[0, 255]], np.uint8), 10, axis=1).repeat(9, axis=0)

    photo = read(encode(halves, kind, "1"))

    np.testing.assert_array_equal(photo.pixels, np.dstack([halves] * 3))


@pytest.mark.parametrize(("depth", "row", "expected"), [(2, 0b00011011, [0, 85, 170, 255]), (4, 0xF1, [255, 17])])
def test_values_of_fewer_bits_are_scaled_to_the_whole_range(depth: int, row: int, expected: list[int]) -> None:
    photo = read(png(len(expected), 1, depth, 0, bytes([0, row])))

    assert photo.pixels[0].tolist() == [[value] * 3 for value in expected]


def test_an_interlaced_png_is_decoded() -> None:
    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    # Adam7: first row, step down, first column, step right of each pass (PNG, 8.2).
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    rows = [row for y, down, x, right in passes for row in values[y::down, x::right]]
    interlaced = bytearray(png(8, 8, 8, 0, b"".join(b"\0" + row.tobytes() for row in rows)))
    interlaced[8:33] = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))

    photo = read(bytes(interlaced))

    np.testing.assert_array_equal(photo.pixels[..., 0], values)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bmp(4, -1, 24, 0, bytes([*BLUE, *RED, *RED, *RED])), id="rows from the top"),
        pytest.param(bmp(4, 1, 32, 0, bytes([*BLUE, 0, *RED, 0, *RED, 0, *RED, 0])), id="32 bits"),
        pytest.param(bmp(4, 1, 8, 1, bytes([1, 3, 3, 0, 0, 1]), PALETTE), id="run lengths"),
    ],
)
def test_every_kind_of_bmp_is_decoded(data: bytes) -> None:
    assert read(data).pixels.tolist() == [[list(BLUE), list(RED), list(RED), list(RED)]]


def test_an_image_too_wide_for_opencv_is_rejected() -> None:
    data = png(2**20 + 1, 1, 8, 0, bytes(2**20 + 2))

    with pytest.raises(UndecodableImage):
        decode(data, read_header(data))


def test_a_jpeg_with_as_many_scans_as_allowed_is_decoded() -> None:
    assert read(many_scans_jpeg(100)).pixels.shape == (8, 8, 3)


def test_a_webp_larger_than_the_format_allows_is_rejected() -> None:
    # The canvas of an animation may have any size.
    data = bytearray(animation("WEBP", gradient(40, 60), gradient(40, 60)[::-1]))
    at = data.index(b"VP8X") + 12
    data[at : at + 3] = (16_384 - 1).to_bytes(3, "little")

    with pytest.raises(ImageTooLarge, match="no side may be longer than 16,383"):
        inspect(bytes(data), 10**9)
