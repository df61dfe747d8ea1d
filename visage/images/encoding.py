"""Pixels to the bytes of a picture, without metadata."""

import cv2

from visage.images.decoding import Pixels

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp", "BMP": "image/bmp"}

# A photo that takes the place of the original: 95 is what libjpeg's and libwebp's own tools call the best that is worth
# its bytes.
_ENCODERS: dict[str, tuple[str, list[int]]] = {
    "JPEG": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]),
    "PNG": (".png", []),
    "WebP": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 95]),
    "BMP": (".bmp", []),
}


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """JPEG of (h, w, 3) uint8 BGR pixels, `quality` 1..100: nothing but pixels, so no metadata of the input."""
    _, buffer = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return buffer.tobytes()


def encode_as(format: str, pixels: Pixels) -> bytes:
    """A file of one of the accepted formats of (h, w, 3) uint8 BGR pixels: nothing but pixels, as `encode_jpeg`."""
    extension, parameters = _ENCODERS[format]
    _, buffer = cv2.imencode(extension, pixels, parameters)
    return buffer.tobytes()
