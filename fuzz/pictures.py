"""Fuzz target for image decoding: any bytes are rejected with an error, or decoded to the size in their header."""

import zlib
from random import Random

import numpy as np

from tests.support.colour import grey_profile, profile
from tests.support.heif import clap, coded, encode_heic, grid, imir, irot, single
from tests.support.pictures import (
    animation,
    bmp,
    broken_animation,
    encode,
    encode_16_bit,
    exif,
    gradient,
    greedy_png,
    jpeg_segment,
    many_scans_jpeg,
    mutated,
    png,
    png_chunk,
    with_exif,
)
from tests.support.tiff import tiff_of
from visage.errors import RequestError
from visage.images.decoding import decode, inspect

# Small, so that a decoder that uses much memory does so without need.
MAX_PIXELS = 4_000_000

# Tiles may have more pixels than their image.
MAX_BYTES = 20 * MAX_PIXELS

# Pixels: so few that most images are decoded at the smallest scale.
MIN_SIDE = 8

_PHOTO = gradient(41, 67)
_GREY = _PHOTO[..., 0].copy()
_TRANSPARENT = np.dstack([_PHOTO, _GREY])
_TILE = gradient(64, 64)
_JPEG = encode(_PHOTO, "JPEG")

# Masks of red, green and blue by the bits per pixel of a BMP.
MASKS = {
    16: [mask.to_bytes(4, "little") for mask in (0xF800, 0x07E0, 0x001F)],
    32: [mask.to_bytes(4, "little") for mask in (0xFF, 0xFF00, 0x3FF00000)],
}

SEEDS: tuple[bytes, ...] = (
    _JPEG,
    encode(_GREY, "JPEG"),
    encode(_PHOTO, "JPEG", "CMYK"),
    encode(_PHOTO, "JPEG", progressive=True),
    encode(_PHOTO, "JPEG", restart_marker_blocks=3),
    encode(_PHOTO, "JPEG", subsampling=2),
    encode(_PHOTO, "JPEG", icc_profile=profile("AdobeCompat-v2")),
    encode(_GREY, "JPEG", icc_profile=grey_profile(1.8)),
    encode(_PHOTO, "JPEG", "CMYK", icc_profile=profile("CGATS001Compat-v2-micro")),
    encode(_TRANSPARENT, "PNG", icc_profile=profile("DisplayP3-v4")),
    encode(_PHOTO, "WEBP", icc_profile=profile("DisplayP3-v4")),
    many_scans_jpeg(10),
    *(with_exif(_JPEG, exif(orientation)) for orientation in range(1, 9)),
    *(encode(_PHOTO, "PNG", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "LA")),
    encode(_TRANSPARENT, "PNG", exif=exif(6, ">")),
    encode_16_bit(_PHOTO),
    encode_16_bit(_TRANSPARENT),
    png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", bytes(6))),
    animation("PNG", _PHOTO, _PHOTO[::-1]),
    broken_animation(),
    greedy_png(b"IDAT"),
    encode(_PHOTO, "WEBP"),
    encode(_TRANSPARENT, "WEBP"),
    encode(_PHOTO, "WEBP", lossless=True),
    encode(_TRANSPARENT, "WEBP", lossless=True, exif=exif(6)),
    animation("WEBP", _PHOTO, _PHOTO[::-1]),
    *(encode(_PHOTO, "BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(bmp(16, 16, depth, 0, bytes(range(256)) * 4, bytes(64) if depth <= 4 else b"") for depth in (4, 16, 24, 32)),
    *(bmp(16, 16, depth, 3, b"".join(masks) + bytes(range(256)) * 4) for depth, masks in MASKS.items()),
    _JPEG[:-2],
    _JPEG[: len(_JPEG) // 2] + b"\xff\xd9",
    _JPEG[:2] + jpeg_segment(0xE0, b"") + b"\0\xe1" + _JPEG[2:],
    bmp(16, 16, 8, 1, b"\x10\1" * 15 + b"\0\0\0\1", bytes(range(256)) * 4),
    bmp(16, 16, 4, 2, b"\x10\1" * 15 + b"\0\0\0\1", bytes(64)),
    *(encode_heic(photo) for photo in (_PHOTO, _GREY, _TRANSPARENT)),
    *(encode(photo, "AVIF") for photo in (_PHOTO, _GREY, _TRANSPARENT)),
    animation("AVIF", _PHOTO, _PHOTO[::-1]),
    *(single(coded(_TILE, kind), irot(3), imir(0)) for kind in ("HEIC", "AVIF")),
    single(coded(_TILE), clap(40, 20, (1, 1), (-1, 1))),
    *(grid([coded(_TILE, kind)] * 4, 2, (100, 100)) for kind in ("HEIC", "AVIF")),
    *(encode(_PHOTO, "TIFF", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")),
    *(encode(_PHOTO, "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits")),
    tiff_of(_PHOTO, 2, ">", tile=(16, 32), planar=True, deflated=True),
    tiff_of(_PHOTO.astype(np.uint16), 2, rows=5, deflated=True),
    encode(_PHOTO, "TIFF", icc_profile=profile("DisplayP3-v4")),
)


def mutate(random: Random, picture: bytes) -> bytes:
    """Mutate an image. Most PNGs get correct checksums, so that the decoder reads past the first damage."""
    result = mutated(random, picture, SEEDS) if picture else random.choice(SEEDS)
    return _with_checksums(result) if result.startswith(b"\x89PNG") and random.random() < 0.7 else result


def _with_checksums(picture: bytes) -> bytes:
    """The PNG with a correct checksum in each complete chunk."""
    result, start = bytearray(picture), 8
    while (end := start + 8 + int.from_bytes(result[start : start + 4])) + 4 <= len(result):
        result[end : end + 4] = zlib.crc32(result[start + 4 : end]).to_bytes(4)
        start = end + 4
    return bytes(result)


def check(data: bytes) -> None:
    """Decode `data` as the service does, at full and at reduced size.

    Raises:
        AssertionError: the result differs from the header.
        Exception: any error other than a RequestError.
    """
    try:
        header = inspect(data, MAX_PIXELS, max_bytes=MAX_BYTES)
    except RequestError:
        return
    assert header.width * header.height <= MAX_PIXELS, header
    for min_side in (None, MIN_SIDE):
        try:
            photo = decode(data, header, min_side)
        except RequestError:
            continue
        height, width, channels = photo.pixels.shape
        assert (photo.width, photo.height) == header.upright_size, header
        assert 1 <= width <= photo.width, (header, width)
        assert 1 <= height <= photo.height, (header, height)
        assert channels == 3, header
        assert photo.pixels.dtype == np.uint8, header
        assert 0 < photo.scale <= 1, (header, photo.scale)
