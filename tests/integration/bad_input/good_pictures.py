"""Pictures with the same three faces in every format."""

import numpy as np

from tests.integration.bad_input.requests_in_bytes import JPEG, PHOTO, PNG
from tests.support.pictures import ZIP, animation, encode, encode_16_bit

OPAQUE = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])

# The grey around the faces becomes transparent, which is decoded as white.
CUT_OUT = np.dstack([PHOTO, np.where((PHOTO == 127).all(axis=2), 0, 255).astype(np.uint8)])

GOOD = {
    "JPEG": (JPEG, 2),
    "progressive JPEG": (encode(PHOTO, "JPEG", quality=95, progressive=True), 2),
    "CMYK JPEG": (encode(PHOTO, "JPEG", "CMYK", quality=95), 2),
    "JPEG with a ZIP behind it": (JPEG + ZIP, 2),
    "PNG": (PNG, 0),
    "PNG with a ZIP behind it": (PNG + ZIP, 0),
    "16-bit PNG": (encode_16_bit(PHOTO), 0),
    "PNG with alpha": (encode(OPAQUE, "PNG"), 0),
    "PNG with a transparent background": (encode(CUT_OUT, "PNG"), 0),
    "16-bit PNG with alpha": (encode_16_bit(CUT_OUT), 0),
    "palette PNG": (encode(PHOTO, "PNG", "P"), 0),
    "animated PNG": (animation("PNG", PHOTO, PHOTO[::-1]), 0),
    "WebP": (encode(PHOTO, "WEBP", quality=95), 2),
    "WebP without loss": (encode(PHOTO, "WEBP", lossless=True), 0),
    "WebP with a transparent background": (encode(CUT_OUT, "WEBP", lossless=True), 0),
    "animated WebP": (animation("WEBP", PHOTO, PHOTO[::-1]), 0),
    "BMP": (encode(PHOTO, "BMP"), 0),
    "palette BMP": (encode(PHOTO, "BMP", "P"), 0),
}
