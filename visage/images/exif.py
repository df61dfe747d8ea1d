"""The orientation in an EXIF block."""

import struct


def exif_orientation(tiff: bytes | memoryview) -> int:
    """Return tag 0x0112 of the first directory of an EXIF block; 1 if it is missing or invalid (EXIF 2.3, 4.6.4)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
