"""Transparent pixels are blended with white."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.images.photos import TRANSPARENT, TRANSPARENT_GREY, assert_alike, on_white, read
from tests.support.pictures import encode, encode_16_bit, png, png_chunk


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
