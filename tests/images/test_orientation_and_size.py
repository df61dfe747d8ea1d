"""A decoded image is upright, and reduced when fewer pixels are enough."""

from typing import Any

import cv2
import numpy as np
import pytest

from tests.images.photos import BLUE, PHOTO, TRANSPARENT, assert_alike, on_white, read
from tests.support.pictures import as_stored, encode, exif, gradient, plain


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


def test_an_image_with_transparency_is_not_reduced() -> None:
    assert read(encode(TRANSPARENT, "PNG"), 10).scale == 1
