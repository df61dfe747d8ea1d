"""Encode pixels as image files without metadata."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.decoding import Pixels
from visage.images.image_header import ImageHeader
from visage.images.webp import is_lossless_webp

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "BMP": "image/bmp"}

# How files of these formats begin.
_MAGIC = {"JPEG": b"\xff\xd8\xff", "PNG": b"\x89PNG", "WebP": b"RIFF", "BMP": b"BM"}

# The formats that are written for others: a JPEG for photos with loss, and a PNG for images without.
_WRITTEN = {"HEIC": "JPEG", "AVIF": "JPEG", "TIFF": "PNG"}

# The result replaces the original, so quality is high: usage.txt of libjpeg advises against more than about 95.
_ENCODERS: dict[str, tuple[str, list[int]]] = {
    "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "PNG": (".png", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 95]),
    "BMP": (".bmp", []),
}

# A quality above 100 is without loss (OpenCV's imgcodecs.hpp).
_LOSSLESS_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]

# Pillow's numbers for chroma subsampling, by the sampling factors of the first component over those of the second.
_PILLOW_SUBSAMPLINGS: dict[tuple[float, float], int] = {(1, 1): 0, (2, 1): 1, (2, 2): 2}


def written_format(format: str) -> str:
    """Return the key of `MEDIA_TYPES` in which an image that was read from `format` is written."""
    return _WRITTEN.get(format, format)


def media_type(start: bytes) -> str | None:
    """Return the media type of a file that this module encoded, by its first bytes; None for a file of another kind."""
    return next((MEDIA_TYPES[name] for name, magic in _MAGIC.items() if start.startswith(magic)), None)


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode (h, w, 3) uint8 BGR `pixels` as JPEG of `quality` 1..100."""
    _, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return buffer.tobytes()


def encode_as(format: str, pixels: NDArray[Any]) -> bytes:
    """Encode (h, w, 3) uint8 BGR `pixels` in `format`, a key of `MEDIA_TYPES`. A PNG may have uint16 pixels."""
    extension, parameters = _ENCODERS[format]
    _, buffer = cv2.imencode(extension, pixels, parameters)
    return buffer.tobytes()


def encode_like(original: bytes, header: ImageHeader, pixels: NDArray[Any]) -> bytes:
    """Encode upright (h, w, 3) BGR `pixels`, which were decoded from `original`, in its format and as finely.

    HEIC and AVIF become a JPEG of quality 95, and a TIFF becomes a PNG. A WebP without loss stays without loss. A JPEG
    gets the quantization tables and the chroma subsampling of `original`; this needs Pillow, and without it quality 95
    is used. PNG and BMP never lose anything.
    """
    if header.format == "JPEG":
        return _encode_jpeg_like(original, pixels, turned=header.orientation >= 5) or encode_as("JPEG", pixels)
    if header.format == "WebP" and is_lossless_webp(original):
        return cv2.imencode(".webp", pixels, _LOSSLESS_WEBP)[1].tobytes()
    return encode_as(written_format(header.format), pixels)


def _encode_jpeg_like(original: bytes, pixels: Pixels, *, turned: bool) -> bytes | None:
    """None if the tables cannot be read or written: those of CMYK, of 16 bits, or all of them without Pillow."""
    try:
        from PIL import Image  # noqa: PLC0415 (an optional dependency)
        from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415
    except ImportError:
        return None
    try:
        opened = JpegImageFile(io.BytesIO(original))
        tables = [opened.quantization[component[3]] for component in opened.layer]
    except (OSError, SyntaxError, ValueError, KeyError, IndexError):
        return None
    if len(tables) not in (1, 3) or max(map(max, tables)) > 255:
        return None
    if turned:
        # The frequencies of rows and columns change places with these.
        tables = [np.reshape(table, (8, 8)).T.ravel().tolist() for table in tables]
    if len(tables) == 1:
        image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
    else:
        # Pillow reads pixels of four bytes without a copy.
        rgbx = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGBA)
        image = Image.frombuffer("RGBX", (pixels.shape[1], pixels.shape[0]), rgbx, "raw", "RGBX", 0, 1)
    file = io.BytesIO()
    image.save(file, "JPEG", qtables=tables[:2], subsampling=_subsampling(opened.layer, turned=turned))
    return file.getvalue()


def _subsampling(components: list[tuple[int, int, int, int]], *, turned: bool) -> int:
    """Pillow's number for the subsampling. None of the chroma is dropped where Pillow has no number for it."""
    (_, across, down, _), (_, chroma_across, chroma_down, _) = components[0], components[min(1, len(components) - 1)]
    factors = (across / chroma_across, down / chroma_down)
    return _PILLOW_SUBSAMPLINGS.get(factors[::-1] if turned else factors, 0)
