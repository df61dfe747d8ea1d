"""JPEGs of hundreds of megapixels, made from strips, so that nobody needs memory for all of their pixels."""

import struct
from collections.abc import Iterable

import numpy as np

from tests.support.pictures import Pixels, encode, jpeg_segment
from visage.images.jpeg import jpeg_segments

# Rows of a strip: those of a block of luma and chroma of half the size (4:2:0).
STRIP_ROWS = 16

Colour = tuple[int, int, int]


def tall_jpeg(strips: Iterable[bytes]) -> bytes:
    """Stack JPEGs of `STRIP_ROWS` rows that `strip` has made. Each becomes one restart interval (ITU T.81, E.1.4)."""
    stacked, first, count = bytearray(), b"", 0
    for count, each in enumerate(strips, 1):
        first = first or each
        stacked += _entropy_coded(each) + bytes([0xFF, 0xD0 + (count - 1) % 8])
    # No restart follows the last interval.
    return _head(first, count * STRIP_ROWS) + stacked[:-2] + b"\xff\xd9"


def strip(width: int, background: Colour, squares: dict[tuple[int, int], Colour] | None = None) -> bytes:
    """A strip of one colour (BGR), with others in the columns from start to end."""
    pixels: Pixels = np.full((STRIP_ROWS, width, 3), background, np.uint8)
    for (start, end), colour in (squares or {}).items():
        pixels[:, start:end] = colour
    return encode(pixels, "JPEG", quality=90, subsampling=2)


def photo_of_squares(width: int, height: int, squares: dict[tuple[int, int, int, int], Colour]) -> bytes:
    """A grey JPEG with `squares`: boxes (x1, y1, x2, y2), whose edges lie on strips, and their colours (BGR)."""
    made: dict[tuple[tuple[int, int], ...], bytes] = {}

    def strip_at(top: int) -> bytes:
        inside = {(x1, x2): colour for (x1, y1, x2, y2), colour in squares.items() if y1 <= top < y2}
        key = tuple(inside)
        if key not in made:
            made[key] = strip(width, (127, 127, 127), inside)
        return made[key]

    return tall_jpeg(strip_at(top) for top in range(0, height, STRIP_ROWS))


def _entropy_coded(jpeg: bytes) -> bytes:
    *_, (_, _, end) = jpeg_segments(jpeg)
    return jpeg[end:-2]


def _head(jpeg: bytes, height: int) -> bytes:
    """Everything before the entropy-coded data, with another height and the number of blocks in an interval."""
    *_, (_, scan, end) = jpeg_segments(jpeg)
    frame = next(start for marker, start, _ in jpeg_segments(jpeg) if marker == 0xC0)
    (width,) = struct.unpack_from(">H", jpeg, frame + 3)
    head = bytearray(jpeg[:end])
    struct.pack_into(">H", head, frame + 1, height)
    interval = jpeg_segment(0xDD, struct.pack(">H", -(-width // STRIP_ROWS)))
    return bytes(head[: scan - 4]) + interval + bytes(head[scan - 4 :])
