"""Encode pixels as image files without metadata."""

import cv2

from visage.images.decoding import Pixels

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "BMP": "image/bmp"}

# The result replaces the original, so quality is high: usage.txt of libjpeg advises against more than about 95.
_ENCODERS: dict[str, tuple[str, list[int]]] = {
    "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "PNG": (".png", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 95]),
    "BMP": (".bmp", []),
}


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode (h, w, 3) uint8 BGR `pixels` as JPEG of `quality` 1..100."""
    _, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return buffer.tobytes()


def encode_as(format: str, pixels: Pixels) -> bytes:
    """Encode (h, w, 3) uint8 BGR `pixels` in `format`, a key of `MEDIA_TYPES`."""
    extension, parameters = _ENCODERS[format]
    _, buffer = cv2.imencode(extension, pixels, parameters)
    return buffer.tobytes()
