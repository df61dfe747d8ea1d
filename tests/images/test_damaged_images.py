"""Damaged images are rejected, or show no pixels of earlier images."""

import resource
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.images.photos import BLUE, GREEN, RED, read
from tests.support.heif import coded, encode_heic, grid
from tests.support.pictures import animation, bmp, broken_animation, encode, greedy_png, mutated, plain, png
from tests.support.service import Service
from visage.errors import EmptyImage, ImageTooLarge, UndecodableImage, UnsupportedType
from visage.images.decoding import decode, inspect

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
    "HEIC": lambda colour: encode_heic(plain(*SIZE, colour)),
    "HEIC of tiles": lambda colour: grid([coded(plain(64, 64, colour))] * 6, 3, SIZE[::-1]),
    "AVIF": lambda colour: encode(plain(*SIZE, colour), "AVIF", speed=9),
    "TIFF": lambda colour: encode(plain(*SIZE, colour), "TIFF"),
    "TIFF with LZW": lambda colour: encode(plain(*SIZE, colour), "TIFF", compression="tiff_lzw"),
}
BLUES = {name: make(BLUE) for name, make in FORMATS.items()}

# Where a file is cut: shares of its length, then bytes from its end.
CUTS = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, -64, -16, -13, -12, -9]

# Name, cut and shortest side. A JPEG that lacks only the marker at its end is not cut short, and one of several scans
# that is decoded at 1/8 lacks nothing without its last scans (tests/images/test_jpeg_rows.py).
CUT_SHORT = [
    *((name, where, min_side) for name in BLUES for where in CUTS for min_side in (None, 20)),
    *((name, where, None) for name in BLUES for where in (-5, -3, -2, -1) if "JPEG" not in name),
]
CUT_SHORT = [case for case in CUT_SHORT if case[0] != "progressive JPEG" or case[2] is None or 0 < case[1] <= 0.1]


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
@pytest.mark.parametrize(("name", "where", "min_side"), CUT_SHORT)
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
def test_a_jpeg_damaged_in_the_middle_is_rejected_or_shows_no_pixels_of_earlier_images(
    name: str, min_side: int | None
) -> None:
    try:
        photo = read(DAMAGED_JPEGS[name], min_side)
    except UndecodableImage:
        return

    assert red_pixels(photo.pixels) == 0


@pytest.mark.parametrize("name", DAMAGED_JPEGS)
def test_the_service_shows_no_pixels_of_earlier_images_for_a_damaged_jpeg(service: Service, name: str) -> None:
    red = FORMATS["JPEG"](RED)
    # No face is that large, so the response is the image as it was decoded.
    options = {"format": "jpeg", "min_face_size": "100000"}
    before = [service.post(red, **options) for _ in range(4)]

    response = service.post(DAMAGED_JPEGS[name], **options)

    assert red_pixels(read(before[0].content).pixels) == SIZE[0] * SIZE[1]
    assert response.status_code == 422 or red_pixels(read(response.content).pixels) == 0


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
