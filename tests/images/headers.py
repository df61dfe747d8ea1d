"""A file of every accepted kind, for tests of image headers."""

import numpy as np

from tests.support.pictures import animation, encode, exif, gradient, jpeg_frame

PHOTO = gradient(21, 34)
TRANSPARENT = np.dstack([PHOTO, PHOTO[..., 0]])
BARE_JPEG = b"\xff\xd8" + jpeg_frame(21, 34) + b"\xff\xd9"

SAMPLES = {
    "jpeg": encode(PHOTO, "JPEG"),
    "progressive jpeg": encode(PHOTO, "JPEG", progressive=True),
    "jpeg with exif": encode(PHOTO, "JPEG", exif=b"Exif\0\0" + exif(6)),
    "png": encode(PHOTO, "PNG"),
    "png with alpha and exif": encode(TRANSPARENT, "PNG", exif=exif(6, ">")),
    "palette png": encode(PHOTO, "PNG", "P"),
    "animated png": animation("PNG", PHOTO, PHOTO[::-1]),
    "webp": encode(PHOTO, "WEBP"),
    "webp without loss": encode(TRANSPARENT, "WEBP", lossless=True),
    "webp with alpha and exif": encode(TRANSPARENT, "WEBP", exif=exif(6)),
    "animated webp": animation("WEBP", PHOTO, PHOTO[::-1]),
    "bmp": encode(PHOTO, "BMP"),
}
