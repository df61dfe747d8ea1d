"""Pictures: whatever the bytes, they are refused in words or become no more pixels than their header said."""

import zlib
from random import Random

import numpy as np

from tests.support.pictures import (
    animation,
    bmp,
    broken_animation,
    encode,
    encode_16_bit,
    exif,
    gradient,
    greedy_png,
    many_scans_jpeg,
    mutated,
    png,
    png_chunk,
    with_exif,
)
from visage.errors import RequestError
from visage.images.decoding import decode, inspect

# Small, so that a decoder that takes much memory takes it without need.
MOST_PIXELS = 4_000_000

# So little that most are reduced as far as can be.
MIN_SIDE = 8

_PHOTO = gradient(41, 67)
_GREY = _PHOTO[..., 0].copy()
_SEE_THROUGH = np.dstack([_PHOTO, _GREY])
_JPEG = encode(_PHOTO, "JPEG")

SEEDS: tuple[bytes, ...] = (
    _JPEG,
    encode(_GREY, "JPEG"),
    encode(_PHOTO, "JPEG", "CMYK"),
    encode(_PHOTO, "JPEG", progressive=True),
    encode(_PHOTO, "JPEG", restart_marker_blocks=3),
    encode(_PHOTO, "JPEG", subsampling=2),
    many_scans_jpeg(10),
    *(with_exif(_JPEG, exif(orientation)) for orientation in range(1, 9)),
    *(encode(_PHOTO, "PNG", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "LA")),
    encode(_SEE_THROUGH, "PNG", exif=exif(6, ">")),
    encode_16_bit(_PHOTO),
    encode_16_bit(_SEE_THROUGH),
    png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", bytes(6))),
    animation("PNG", _PHOTO, _PHOTO[::-1]),
    broken_animation(),
    greedy_png(b"IDAT"),
    encode(_PHOTO, "WEBP"),
    encode(_SEE_THROUGH, "WEBP"),
    encode(_PHOTO, "WEBP", lossless=True),
    encode(_SEE_THROUGH, "WEBP", lossless=True, exif=exif(6)),
    animation("WEBP", _PHOTO, _PHOTO[::-1]),
    *(encode(_PHOTO, "BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(bmp(16, 16, depth, 0, bytes(range(256)) * 4, bytes(64) if depth <= 4 else b"") for depth in (4, 16, 24, 32)),
    bmp(16, 16, 8, 1, b"\x10\1" * 15 + b"\0\0\0\1", bytes(range(256)) * 4),
    bmp(16, 16, 4, 2, b"\x10\1" * 15 + b"\0\0\0\1", bytes(64)),
)


def changed(random: Random, picture: bytes) -> bytes:
    """Another picture, made from this one; many a damaged PNG gets right checksums, so that it is read further."""
    other = mutated(random, picture, SEEDS) if picture else random.choice(SEEDS)
    return _with_checksums(other) if other.startswith(b"\x89PNG") and random.random() < 0.7 else other


def _with_checksums(picture: bytes) -> bytes:
    """The PNG with the checksum of each chunk that is there as a whole set right."""
    whole, at = bytearray(picture), 8
    while (end := at + 8 + int.from_bytes(whole[at : at + 4])) + 4 <= len(whole):
        whole[end : end + 4] = zlib.crc32(whole[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(whole)


def check(data: bytes) -> None:
    """Read `data` as the service would, whole and reduced.

    Raises:
        AssertionError: the picture is not what its header said.
        Exception: any other than a refusal.
    """
    try:
        header = inspect(data, MOST_PIXELS)
    except RequestError:
        return
    assert header.width * header.height <= MOST_PIXELS, header
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
