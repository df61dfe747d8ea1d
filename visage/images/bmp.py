"""The header of a BMP, and the pixels of one whose channels have masks, which OpenCV reads in fixed places."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visage.errors import UndecodableImage, UnsupportedType
from visage.images.image_header import ACCEPTED, ImageHeader, UnsupportedKind

# Sizes of the BMP information header, one for each version (Windows SDK, wingdi.h; 12 is OS/2 1.x).
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)

# Values of biCompression (Windows SDK, wingdi.h; 6 is from Windows CE), and the bits per pixel that each may have.
_PLAIN, _RUNS_OF_8, _RUNS_OF_4, _MASKS, _MASKS_WITH_ALPHA = 0, 1, 2, 3, 6
_DEPTHS = {_PLAIN: (1, 4, 8, 16, 24, 32), _RUNS_OF_8: (8,), _RUNS_OF_4: (4,), _MASKS: (16, 32)}
_DEPTHS[_MASKS_WITH_ALPHA] = _DEPTHS[_MASKS]
_OS_2_HEADER = 64

# Offset in bytes of the masks of red, green, blue and alpha: in longer headers, or behind one of 40 bytes.
_MASKS_START = 54

# Number of pixels that are converted at a time.
_PIXELS_PER_STRIP = 2**18


def read_bmp_header(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size not in _BMP_HEADERS:
        raise UnsupportedType(f"This kind of file is not accepted; send the photo as {ACCEPTED}.")
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    has_alpha = False
    if header_size > 12:
        depth, compression = struct.unpack_from("<HI", data, 28)
        # In OS/2 the same numbers mean other compressions.
        if depth not in _DEPTHS.get(compression, ()) or (header_size == _OS_2_HEADER and compression == _MASKS):
            raise UnsupportedKind(
                f"A BMP with {depth} bits per pixel and compression {compression} is not accepted; "
                "save it with 24 bits per pixel."
            )
        has_alpha = _masks(data)[3:] not in ((), (0,))
    # A negative height means that the first row is the top one (Windows SDK, BITMAPINFOHEADER).
    return ImageHeader("BMP", width, abs(height), has_alpha=has_alpha, bytes_per_pixel=8 if has_alpha else 6)


def decode_masks(data: bytes) -> NDArray[np.uint8] | None:
    """Decode a BMP whose channels have masks to (h, w, 3) BGR or (h, w, 4) BGRA uint8; None if it has none.

    The header must have been read.

    Raises:
        UndecodableImage: pixels are missing.
    """
    masks = _masks(data)
    if not masks:
        return None
    (start,) = struct.unpack_from("<I", data, 10)
    width, stored_height, _, depth = struct.unpack_from("<iiHH", data, 18)
    height, size = abs(stored_height), depth // 8
    # Rows are padded to 4 bytes.
    row = (width * size + 3) // 4 * 4
    if start + row * height > len(data):
        raise UndecodableImage("The BMP is cut short; send the whole original file.")
    stored = np.frombuffer(data, f"<u{size}", row * height // size, start).reshape(height, -1)[:, :width]
    red, green, blue, *alpha = masks
    channels = (blue, green, red, *filter(None, alpha))
    pixels = np.empty((height, width, len(channels)), np.uint8)
    strip = max(1, _PIXELS_PER_STRIP // width)
    for top in range(0, height, strip):
        for index, mask in enumerate(channels):
            pixels[top : top + strip, :, index] = _channel(stored[top : top + strip], mask)
    # Some programs name a mask for alpha and leave all of it 0; viewers show such images as opaque.
    if len(channels) == 4 and not pixels[..., 3].any():
        pixels[..., 3] = 255
    return pixels if stored_height < 0 else pixels[::-1]


def _masks(data: bytes) -> tuple[int, ...]:
    """Return the masks of red, green, blue and maybe alpha; none if the places of the channels are fixed.

    Raises:
        UnsupportedKind: the bits of a mask are not next to each other.
    """
    (header_size,) = struct.unpack_from("<I", data, 14)
    compression = struct.unpack_from("<I", data, 30)[0] if header_size > 12 else _PLAIN
    if compression not in (_MASKS, _MASKS_WITH_ALPHA):
        return ()
    count = 4 if header_size >= 56 or compression == _MASKS_WITH_ALPHA else 3
    masks: tuple[int, ...] = struct.unpack_from(f"<{count}I", data, _MASKS_START)
    if any((mask // (mask & -mask)) & (mask // (mask & -mask) + 1) for mask in masks if mask):
        raise UnsupportedKind("A BMP with such masks is not accepted; save it with 24 bits per pixel.")
    return masks


def _channel(stored: NDArray[Any], mask: int) -> NDArray[Any]:
    """Return the values under `mask`, scaled to 0..255."""
    if not mask:
        return np.zeros_like(stored)
    shift = (mask & -mask).bit_length() - 1
    # Of longer values the first 8 bits count.
    shift += max(0, (mask >> shift).bit_length() - 8)
    largest = mask >> shift
    values = (stored.astype(np.uint32) & np.uint32(mask)) >> np.uint32(shift)
    return (values * np.uint32(255) + np.uint32(largest // 2)) // np.uint32(largest)
