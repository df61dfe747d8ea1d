"""Bytes to pixels and back, with every limit on the way."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import EmptyImage, ImageTooLarge, UndecodableImage
from visage.images.headers import ImageHeader, png_chunks, read_header

Pixels = NDArray[np.uint8]

_REDUCED_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# How to make a stored picture upright, by EXIF orientation (EXIF 2.3, 4.6.4): a turn, then a mirroring left to right.
_TURNS = {3: cv2.ROTATE_180, 4: cv2.ROTATE_180, 5: cv2.ROTATE_90_CLOCKWISE, 6: cv2.ROTATE_90_CLOCKWISE}

_TURNS |= {7: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}

_MIRRORED = (2, 4, 5, 7)

# The longest side that OpenCV's JPEG encoder takes (libjpeg, JPEG_MAX_DIMENSION).
LONGEST_SIDE = 65_500

# That of every WebP but the canvas of an animation (RFC 6386, 9.1), and the longest that its encoder takes.
_LONGEST_WEBP_SIDE = 16_383

# Rows that are blended at a time: the 16-bit products of a 50-megapixel picture at once would take 300 MB.
_STRIP = 256


@dataclass(frozen=True)
class Photo:
    """A decoded picture.

    `pixels` is (h, w, 3) uint8 BGR, upright, transparency laid on white. `width` and `height` are those of the upright
    original; `scale` is decoded size over original size, 1 or about 1/2, 1/4 or 1/8.
    """

    pixels: Pixels
    width: int
    height: int
    scale: float


def inspect(data: bytes, max_pixels: int, scale: int = 1) -> ImageHeader:
    """Judge a picture before it costs anything. With `scale` its format must take it so many times as wide and high.

    Raises:
        EmptyImage: no bytes at all.
        UnsupportedType: not JPEG, PNG, WebP or BMP, by its magic bytes.
        UndecodableImage: a damaged header.
        ImageTooLarge: more than `max_pixels` pixels, or a side longer than a JPEG, or a WebP, can be.
    """
    if not data:
        raise EmptyImage("The picture is empty; send the bytes of a photo.")
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise ImageTooLarge(
            f"The picture has {header.width} x {header.height} pixels; at most {max_pixels:,} in all are accepted. "
            "Send a smaller version."
        )
    longest = (_LONGEST_WEBP_SIDE if header.format == "WebP" else LONGEST_SIDE) // scale
    if max(header.width, header.height) > longest:
        raise ImageTooLarge(
            f"The picture has {header.width} x {header.height} pixels; no side may be longer than {longest:,}. "
            "Send a smaller version."
        )
    return header


def decode(data: bytes, header: ImageHeader, enough_side: int | None = None) -> Photo:
    """Decode `data`, whose header was inspected before.

    With `enough_side`, a larger picture is decoded at the greatest of the reductions 1/2, 1/4 and 1/8 that leaves its
    longer side at `enough_side` pixels or more.

    Raises:
        UndecodableImage: the picture is cut short or damaged. What a decoder made of it is never passed on.
    """
    reduction = _reduction(header, enough_side)
    try:
        pixels = _imdecode(data, header, reduction)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UndecodableImage(f"The {header.format} is cut short or damaged; send the whole original file.")
    width, height = header.upright_size
    pixels = _upright(pixels, header.orientation)
    if reduction == 1 and pixels.shape[:2] != (height, width):
        raise UndecodableImage(f"The {header.format} contradicts its own size; send the original file.")
    return Photo(pixels, width, height, pixels.shape[1] / width if width >= height else pixels.shape[0] / height)


def _reduction(header: ImageHeader, enough_side: int | None) -> int:
    if enough_side is None or header.has_alpha:
        return 1
    shorter, longer = sorted((header.width, header.height))
    # OpenCV rounds sides down: of a picture 7 pixels wide nothing is left at 1/8.
    return max(each for each in _REDUCED_FLAGS if each == 1 or (longer // each >= enough_side and shorter >= each))


def _imdecode(data: bytes, header: ImageHeader, reduction: int) -> Pixels | None:
    buffer = np.frombuffer(_plain_png(data) if header.format == "PNG" else data, np.uint8)
    if header.has_alpha:
        stored = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
        return None if stored is None else _on_white(stored)
    # OpenCV 4.12 applies the orientation of JPEG and PNG but not of WebP: one reading of it, ours, serves all.
    return cv2.imdecode(buffer, _REDUCED_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)  # type: ignore[return-value]


def _plain_png(data: bytes) -> bytes:
    """A PNG with nothing but what makes its picture: no animation, texts or profiles.

    OpenCV 4.12 reads animations by itself and does not survive damaged ones; and it sets aside whatever memory a chunk
    says that it needs, so that 100 bytes could take 4 GB. `png_chunks` lets no such chunk through.
    """
    # The small first letter of a chunk says that a decoder may do without it (PNG, 5.4).
    wanted = [data[start:end] for kind, start, end in png_chunks(data) if kind == b"tRNS" or not kind[0] & 0x20]
    return data[:8] + b"".join(wanted)


def _on_white(stored: NDArray[Any]) -> Pixels:
    """Lay (h, w) or (h, w, 3 or 4) uint8 or uint16 pixels on white, as a browser would show them."""
    if stored.dtype == np.uint16:
        stored = (stored >> 8).astype(np.uint8)
    if stored.ndim == 2:
        return cv2.cvtColor(stored, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if stored.shape[2] == 3:
        return stored
    laid = np.empty((*stored.shape[:2], 3), np.uint8)
    for top in range(0, len(stored), _STRIP):
        strip = stored[top : top + _STRIP]
        opaque = strip[..., 3:].astype(np.uint16)
        laid[top : top + _STRIP] = (strip[..., :3] * opaque + 255 * (255 - opaque) + 127) // 255
    return laid


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    if orientation in _TURNS:
        pixels = cv2.rotate(pixels, _TURNS[orientation])  # type: ignore[assignment]
    return cv2.flip(pixels, 1) if orientation in _MIRRORED else pixels  # type: ignore[return-value]
