"""Decoding: every accepted kind of image, orientation, transparency; damaged images show no pixels of others."""

import resource
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.pictures import (
    ZIP,
    animation,
    as_stored,
    bmp,
    broken_animation,
    encode,
    encode_16_bit,
    exif,
    gradient,
    greedy_png,
    many_scans_jpeg,
    mutated,
    plain,
    png,
    png_chunk,
)
from tests.support.service import Service
from visage.errors import EmptyImage, ImageTooLarge, UndecodableImage, UnsupportedType
from visage.images.decoding import Photo, decode, inspect
from visage.images.encoding import encode_jpeg
from visage.images.headers import read_header

LIMIT = 50_000_000

PHOTO = gradient(61, 83)
GREY = PHOTO[..., 0].copy()
# Alpha from 0 to 255.
TRANSPARENT = np.dstack([PHOTO, np.tile(np.linspace(0, 255, 61).astype(np.uint8)[:, None], 83)])
TRANSPARENT_GREY = np.dstack([GREY, GREY, GREY, TRANSPARENT[..., 3]])

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)

# The 256 colours of a BMP.
PALETTE = bytes([*RED, 0, *GREEN, 0, 30, 20, 10, 0, *BLUE, 0]) + bytes(4 * 252)


def read(data: bytes, min_side: int | None = None) -> Photo:
    return decode(data, inspect(data, LIMIT), min_side)


def on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blend a (h, w, 4) image with white in 64-bit floats."""
    opaque = pixels[..., 3:] / 255
    mixed: NDArray[np.float64] = pixels[..., :3] * opaque + 255 * (1 - opaque)
    return mixed.round().astype(np.uint8)


def assert_alike(pixels: NDArray[np.uint8], expected: NDArray[np.uint8], tolerance: int) -> None:
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=tolerance)


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


@pytest.mark.parametrize(
    ("data", "stored", "tolerance"),
    [
        pytest.param(encode(TRANSPARENT, "PNG"), TRANSPARENT, 1, id="PNG"),
        pytest.param(encode_16_bit(TRANSPARENT), TRANSPARENT, 1, id="16-bit PNG"),
        pytest.param(encode(TRANSPARENT_GREY, "PNG", "LA"), TRANSPARENT_GREY, 2, id="grey PNG"),
        pytest.param(encode(TRANSPARENT, "WEBP", lossless=True, exact=True), TRANSPARENT, 1, id="WebP without loss"),
        pytest.param(encode(TRANSPARENT, "WEBP", quality=100, exact=True), TRANSPARENT, 14, id="WebP"),
    ],
)
def test_transparency_is_blended_with_white(data: bytes, stored: NDArray[np.uint8], tolerance: int) -> None:
    assert_alike(read(data).pixels, on_white(stored), tolerance)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            png(2, 1, 8, 3, b"\0\0\1", png_chunk(b"PLTE", b"\x1e\x14\x0a\3\2\1"), png_chunk(b"tRNS", b"\x80")),
            [[132, 137, 142], [1, 2, 3]],
            id="palette with alpha",
        ),
        pytest.param(
            png(2, 1, 8, 2, b"\0\x1e\x14\x0a\3\2\1", png_chunk(b"tRNS", b"\0\x1e\0\x14\0\x0a")),
            [[255, 255, 255], [1, 2, 3]],
            id="one colour that means transparent",
        ),
        pytest.param(
            png(2, 1, 16, 4, b"\0\x0a\0\x80\0\x14\0\xff\xff"),
            [[132, 132, 132], [20, 20, 20]],
            id="16-bit grey and alpha",
        ),
    ],
)
def test_rare_kinds_of_transparency_are_blended_with_white(data: bytes, expected: list[list[int]]) -> None:
    assert_alike(read(data).pixels[0], np.array(expected, np.uint8), 1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(1, 1, 8, 0, b"\0\x32", png_chunk(b"tRNS", b"\0\x32")), id="grey that means transparent"),
        pytest.param(png(1, 1, 8, 2, b"\0\x32\x32\x32", png_chunk(b"tRNS", b"\0")), id="colour of too few bytes"),
    ],
)
def test_transparency_that_opencv_does_not_support_is_opaque(data: bytes) -> None:
    assert read(data).pixels.tolist() == [[[50, 50, 50]]]


def test_transparency_is_blended_with_white_in_all_strips() -> None:
    tall = np.full((1000, 3, 4), 100, np.uint8)
    tall[:, :, 3] = np.arange(1000)[:, None] % 256

    assert_alike(read(encode(tall, "PNG")).pixels, on_white(tall), 1)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True})],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_image_becomes_upright(orientation: int, kind: str, options: dict[str, Any]) -> None:
    stored = encode(as_stored(PHOTO, orientation), kind, exif=b"Exif\0\0" + exif(orientation), **options)

    photo = read(stored)

    assert (photo.width, photo.height, photo.scale) == (83, 61, 1)
    assert_alike(photo.pixels, PHOTO, 8)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_rotated_image_with_transparency_becomes_upright(kind: str) -> None:
    stored = encode(as_stored(TRANSPARENT, 6), kind, exif=b"Exif\0\0" + exif(6), lossless=True, exact=True)

    assert_alike(read(stored).pixels, on_white(TRANSPARENT), 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize(
    ("longer", "min_side", "reduction"),
    [
        (799, None, 1),
        (799, 800, 1),
        (799, 400, 1),
        (800, 400, 2),
        (1599, 400, 2),
        (1600, 400, 4),
        (3199, 400, 4),
        (3200, 400, 8),
        (7000, 400, 8),
    ],
)
def test_the_smallest_size_with_enough_pixels_is_chosen(
    longer: int, min_side: int | None, reduction: int, kind: str
) -> None:
    photo = read(encode(plain(16, longer, BLUE), kind), min_side)

    assert (photo.width, photo.height) == (longer, 16)
    # Decoders round up or down.
    assert photo.pixels.shape[1] in (longer // reduction, -(-longer // reduction))
    assert photo.pixels.shape[0] == 16 // reduction
    assert photo.scale == photo.pixels.shape[1] / longer


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_image_is_reduced_by_its_longer_side_too(orientation: int, kind: str) -> None:
    upright = gradient(333, 501)
    stored = encode(as_stored(upright, orientation), kind, exif=b"Exif\0\0" + exif(orientation))

    photo = read(stored, 250)

    assert (photo.width, photo.height) == (501, 333)
    assert photo.scale == pytest.approx(0.5, abs=0.002)
    middles = cv2.resize(upright, photo.pixels.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)
    assert_alike(photo.pixels[2:-2, 2:-2], middles[2:-2, 2:-2], 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize(("width", "height"), [(1, 20000), (20000, 1), (3, 20000), (20000, 7)])
def test_a_reduction_leaves_at_least_one_pixel(width: int, height: int, kind: str) -> None:
    photo = read(encode(np.zeros((height, width, 3), np.uint8), kind), 1000)

    assert min(photo.pixels.shape[:2]) >= 1
    assert max(photo.pixels.shape[:2]) >= 1000
    assert (photo.width, photo.height) == (width, height)


def test_an_image_too_wide_for_opencv_is_rejected() -> None:
    data = png(2**20 + 1, 1, 8, 0, bytes(2**20 + 2))

    with pytest.raises(UndecodableImage):
        decode(data, read_header(data))


def test_an_image_with_transparency_is_not_reduced() -> None:
    assert read(encode(TRANSPARENT, "PNG"), 10).scale == 1


def test_an_encoded_jpeg_has_no_metadata() -> None:
    upload = encode(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0" + exif(1), comment=b"at home", icc_profile=b"profile")

    encoded = encode_jpeg(read(upload).pixels, 95)

    segments = encoded.partition(b"\xff\xda")[0]
    assert [segments.count(bytes([0xFF, marker])) for marker in (0xE0, *range(0xE1, 0xF0), 0xFE)] == [1] + 16 * [0]
    assert b"at home" not in encoded


@pytest.mark.parametrize(("quality", "tolerance"), [(50, 40), (95, 8)])
def test_an_encoded_jpeg_decodes_to_the_same_image(quality: int, tolerance: int) -> None:
    encoded = encode_jpeg(PHOTO, quality)

    assert_alike(read(encoded).pixels, PHOTO, tolerance)


# Damaged images must not show memory that red images used before. All have the same size, so that they get the same
# memory.
SIZE = (120, 160)
FORMATS: dict[str, Callable[[tuple[int, int, int]], bytes]] = {
    "JPEG": lambda colour: encode(plain(*SIZE, colour), "JPEG", quality=90),
    "progressive JPEG": lambda colour: encode(plain(*SIZE, colour), "JPEG", quality=90, progressive=True),
    "JPEG with restarts": lambda colour: encode(plain(*SIZE, colour), "JPEG", quality=90, restart_marker_blocks=5),
    "PNG": lambda colour: encode(plain(*SIZE, colour), "PNG"),
    "PNG with alpha": lambda colour: encode(plain(*SIZE, colour), "PNG", "RGBA"),
    "animated PNG": lambda colour: animation("PNG", plain(*SIZE, colour), plain(*SIZE, GREEN)),
    "WebP": lambda colour: encode(plain(*SIZE, colour), "WEBP"),
    "WebP without loss": lambda colour: encode(plain(*SIZE, colour), "WEBP", lossless=True),
    "animated WebP": lambda colour: animation("WEBP", plain(*SIZE, colour), plain(*SIZE, GREEN)),
    "BMP": lambda colour: encode(plain(*SIZE, colour), "BMP"),
}
BLUES = {name: make(BLUE) for name, make in FORMATS.items()}

# Where a file is cut: shares of its length, then bytes from its end.
CUTS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, -64, -16, -13, -12, -9, -5, -3, -2, -1]


def cut(data: bytes, where: float) -> bytes:
    return data[: round(len(data) * where) if where > 0 else int(where)]


def red_pixels(pixels: NDArray[np.uint8]) -> int:
    return int(np.count_nonzero((pixels[..., 2] > 150) & (pixels[..., 0] < 100) & (pixels[..., 1] < 100)))


@pytest.fixture
def after_red() -> None:
    """Fill the memory that an image of `SIZE` may get with red."""
    red = encode(plain(*SIZE, RED), "PNG")
    for photo in [read(red) for _ in range(4)]:
        assert red_pixels(photo.pixels) == photo.width * photo.height


@pytest.mark.usefixtures("after_red")
@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("where", CUTS)
@pytest.mark.parametrize("name", BLUES)
def test_an_image_that_is_cut_short_is_rejected(name: str, where: float, min_side: int | None) -> None:
    damaged = cut(BLUES[name], where)

    with pytest.raises(UndecodableImage):
        read(damaged, min_side)


@pytest.mark.parametrize("name", ["JPEG", "progressive JPEG", "PNG", "WebP", "BMP"])
def test_the_service_rejects_an_image_that_is_cut_short(service: Service, name: str) -> None:
    red = FORMATS[name](RED)
    responses = [service.post(data) for where in CUTS for data in (red, red, cut(BLUES[name], where))]

    assert [response.status_code for response in responses] == [200, 200, 422] * len(CUTS)
    assert {response.json()["code"] for response in responses[2::3]} == {"undecodable_image"}


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "hole": lambda data, at: data[:at] + data[at + 300 :],
    "zeros": lambda data, at: data[:at] + bytes(300) + data[at + 300 :],
    "early end": lambda data, at: data[:at] + b"\xff\xd9",
}
DAMAGED_JPEGS = {
    f"{name}, {damage} at {where}": make(BLUES[name], round(len(BLUES[name]) * where))
    for name in ("JPEG", "progressive JPEG", "JPEG with restarts")
    for where in (0.25, 0.5, 0.75)
    for damage, make in DAMAGES.items()
}


@pytest.mark.usefixtures("after_red")
@pytest.mark.parametrize("min_side", [None, 20])
@pytest.mark.parametrize("name", DAMAGED_JPEGS)
def test_a_jpeg_damaged_in_the_middle_shows_no_pixels_of_earlier_images(name: str, min_side: int | None) -> None:
    photo = read(DAMAGED_JPEGS[name], min_side)

    assert red_pixels(photo.pixels) == 0


@pytest.mark.parametrize("name", DAMAGED_JPEGS)
def test_the_service_shows_no_pixels_of_earlier_images_for_a_damaged_jpeg(service: Service, name: str) -> None:
    red = FORMATS["JPEG"](RED)
    # No face is that large, so the response is the image as it was decoded.
    options = {"format": "jpeg", "min_face_size": "100000"}
    before = [service.post(red, **options) for _ in range(4)]

    response = service.post(DAMAGED_JPEGS[name], **options)

    assert red_pixels(read(before[0].content).pixels) == SIZE[0] * SIZE[1]
    assert red_pixels(read(response.content).pixels) == 0


@pytest.mark.usefixtures("after_red")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bmp(160, 120, 8, 1, b"\0\1", bytes([*BLUE, 0]) * 256), id="no runs"),
        pytest.param(bmp(160, 120, 8, 1, 120 * b"\0\0" + b"\0\1", bytes([*BLUE, 0]) * 256), id="empty rows"),
        pytest.param(bmp(160, 120, 8, 1, b"\0\2\xff\xff\0\1", bytes([*BLUE, 0]) * 256), id="a jump beyond the end"),
    ],
)
def test_a_bmp_with_missing_pixels_shows_no_pixels_of_earlier_images(data: bytes) -> None:
    assert red_pixels(read(data).pixels) == 0


@pytest.mark.parametrize("name", BLUES)
def test_the_result_for_a_damaged_image_depends_on_its_bytes_only(name: str) -> None:
    seeds = [f"pixels of {name}, {number}" for number in range(100)]

    differing = [seed for seed in seeds if decoded(seed, name, RED) != decoded(seed, name, GREEN)]

    assert differing == []


def decoded(seed: str, name: str, before: tuple[int, int, int]) -> bytes:
    """Return the pixels of the mutation with this seed, decoded after images of the colour `before`, or its error."""
    damaged = mutated(Random(seed), BLUES[name], list(BLUES.values()))
    colour = encode(plain(*SIZE, before), "BMP")
    for _ in [read(colour) for _ in range(2)]:
        pass
    try:
        return decode(damaged, inspect(damaged, 1_000_000)).pixels.tobytes()
    except (EmptyImage, UnsupportedType, UndecodableImage, ImageTooLarge) as error:
        return str(error).encode()


def test_a_damaged_animation_is_rejected() -> None:
    with pytest.raises(UndecodableImage):
        read(broken_animation())


def test_a_chunk_with_a_length_of_two_gigabytes_allocates_nothing() -> None:
    whole = png(1, 1, 8, 2, b"\0\1\2\3")
    greedy_end = whole[:-12] + b"\x7f\xff\xff\0IDAT" + whole[-12:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(UndecodableImage):
        read(greedy_end)
    with pytest.raises(UndecodableImage):
        read(greedy_png(b"IDAT"))

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_a_jpeg_with_as_many_scans_as_allowed_is_decoded() -> None:
    assert read(many_scans_jpeg(100)).pixels.shape == (8, 8, 3)


def test_a_webp_larger_than_the_format_allows_is_rejected() -> None:
    # The canvas of an animation may have any size.
    data = bytearray(animation("WEBP", gradient(40, 60), gradient(40, 60)[::-1]))
    at = data.index(b"VP8X") + 12
    data[at : at + 3] = (16_384 - 1).to_bytes(3, "little")

    with pytest.raises(ImageTooLarge, match="no side may be longer than 16,383"):
        inspect(bytes(data), 10**9)
