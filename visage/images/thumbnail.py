"""Small copies of pictures, for lists."""

import cv2

from visage.images.decoding import decode, inspect
from visage.images.encoding import encode_jpeg

# Enough for a copy of a few hundred pixels; it takes a third of the bytes of quality 95.
_QUALITY = 80


def thumbnail(data: bytes, side: int, max_pixels: int, max_bytes: int) -> bytes:
    """Return the picture `data` as a JPEG whose longer side has at most `side` pixels.

    Raises:
        RequestError: the picture is damaged, or has more pixels or takes more memory than `max_pixels` and `max_bytes`.
    """
    header = inspect(data, max_pixels, max_bytes=max_bytes, min_side=side)
    pixels = decode(data, header, side).pixels
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype, copy=False)
    return encode_jpeg(pixels, _QUALITY)
