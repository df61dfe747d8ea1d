"""Photos of every kind of pixels, and helpers that decode and compare them."""

import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import gradient
from visage.images.decoding import Photo, decode, inspect

LIMIT = 50_000_000

PHOTO = gradient(61, 83)
GREY = PHOTO[..., 0].copy()

# Alpha from 0 to 255.
TRANSPARENT = np.dstack([PHOTO, np.tile(np.linspace(0, 255, 61).astype(np.uint8)[:, None], 83)])
TRANSPARENT_GREY = np.dstack([GREY, GREY, GREY, TRANSPARENT[..., 3]])

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def read(data: bytes, min_side: int | None = None) -> Photo:
    return decode(data, inspect(data, LIMIT), min_side)


def assert_alike(pixels: NDArray[np.uint8], expected: NDArray[np.uint8], tolerance: int) -> None:
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=tolerance)


def on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blend a (h, w, 4) image with white in 64-bit floats."""
    opaque = pixels[..., 3:] / 255
    mixed: NDArray[np.float64] = pixels[..., :3] * opaque + 255 * (1 - opaque)
    return mixed.round().astype(np.uint8)
