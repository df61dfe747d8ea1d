"""Tell a JPEG that lacks only its end marker from one that lacks rows.

libjpeg fills missing rows with grey. It cannot tell where the data ended, but what it makes of the last rows depends on
the bytes behind them only if data are missing.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.jpeg import end_of_jpeg, ends_in_first_progressive_scan

Pixels = NDArray[np.uint8]
Bytes = bytes | bytearray

_END = b"\xff\xd9"

# Bytes that decode to several blocks of different brightness, whatever the Huffman tables, in the current restart
# interval and, behind the markers RST0 to RST7, in the next one. It begins with ones, because libjpeg adds zeros.
_BLOCKS = bytes(range(254, -1, -1)) * 4
_FILLER = _BLOCKS + b"".join(bytes([0xFF, 0xD0 + number]) + _BLOCKS for number in range(8))

# What OpenCV makes of missing blocks: all values are 128. Of CMYK and of YCCK it makes a darker grey.
_GREYS = (128, 64, 65)


def decode_all_rows(
    data: bytes, decode: Callable[[Bytes], Pixels | None], *, by_profile: bool = False
) -> Pixels | None:
    """Return what `decode` makes of a JPEG, (h, w, 3) uint8 BGR, or None if it lacks rows or is damaged.

    A JPEG that ends before its end marker is decoded three times, so that one that lacks nothing else is accepted. Rows
    may be missing only if the last pixel is grey; such a JPEG is decoded two times more, small. With `by_profile`,
    `decode` converts colours by a profile. Missing rows may then have any colour, so no JPEG is spared that.
    """
    pixels = decode(data)
    if pixels is None:
        return None if end_of_jpeg(data) < len(data) else _decode_without_end(data, decode)
    return pixels if not (by_profile or _may_lack_rows(data, pixels)) or _has_last_block(data) else None


def _may_lack_rows(data: bytes, pixels: Pixels) -> bool:
    last = pixels[-1, -1]
    # libjpeg smooths what the first scan of a progressive image leaves grey.
    return (last[0] in _GREYS and (last == last[0]).all()) or ends_in_first_progressive_scan(data)


def _decode_without_end(data: bytes, decode: Callable[[Bytes], Pixels | None]) -> Pixels | None:
    ended = _with_ends(data, len(data))
    other = _digest(decode(next(ended)))
    pixels = decode(next(ended))
    return pixels if _digest(pixels) == other else None


def _has_last_block(data: bytes) -> bool:
    """Whether the brightness of all blocks is in the data."""
    filled, plain = (_digest(_small(each)) for each in _with_ends(data, end_of_jpeg(data)))
    return filled == plain


def _with_ends(data: bytes, end: int) -> Iterator[bytearray]:
    """Yield the first `end` bytes with filler and end marker, then with the end marker only, in the same buffer."""
    # Fill bytes may stand before a marker (ITU T.81, B.1.1.2), and would make one with the filler.
    while end and data[end - 1] == 0xFF:
        end -= 1
    buffer = bytearray(memoryview(data)[:end])
    for last in (_FILLER + _END, _END):
        del buffer[end:]
        buffer += last
        yield buffer


def _small(data: Bytes) -> NDArray[Any] | None:
    """Decode the mean brightness of the blocks of a JPEG."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION)


def _digest(pixels: NDArray[Any] | None) -> bytes:
    return b"" if pixels is None else hashlib.blake2b(pixels.tobytes()).digest()
