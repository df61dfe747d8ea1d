"""The header of a BMP."""

import struct

from visage.errors import UnsupportedType
from visage.images.image_header import ACCEPTED, ImageHeader

# Sizes of the BMP information header, one for each version (Windows SDK, wingdi.h; 12 is OS/2 1.x).
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def read_bmp_header(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size not in _BMP_HEADERS:
        raise UnsupportedType(f"This kind of file is not accepted; send the photo as {ACCEPTED}.")
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    # A negative height means that the first row is the top one (Windows SDK, BITMAPINFOHEADER).
    return ImageHeader("BMP", width, abs(height))
