"""What the coded data of a HEIC or AVIF say about the work of a decoder, which the boxes around them do not.

The decoders trust the data. A file of some kilobytes could hold thousands of frames, or say that it is small and hold
a frame of 268 megapixels.
"""

from collections.abc import Iterator

from visage.errors import UndecodableImage
from visage.images.heif.lists import DAMAGED

# Frames in an item. An image has one; a few may be hidden or be layers of it.
_MAX_FRAMES = 4

# Units in an item. Encoders write one for each slice or tile of a frame, at most some hundreds.
_MAX_UNITS = 10_000

# Types of HEVC's units that code pixels are below this one (ITU-T H.265, table 7-1).
_FIRST_NOT_CODED = 32

# Types of AV1's units (AV1 specification, 6.2.2).
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6

# Bytes. At most 32 operating points of some bits stand before the size in a sequence header.
_MAX_SEQUENCE_HEADER = 512

_TOO_MANY = "The image holds several frames in one; save it again and send that."


def check_hevc(content: bytes, configuration: bytes) -> None:
    """Check the units of a coded HEVC image; `configuration` is its `hvcC` (ISO/IEC 14496-15, 8.3.3.1).

    Raises:
        UndecodableImage: the data are damaged, or there is more than one frame.
    """
    size = (configuration[21] & 3) + 1
    at = frames = 0
    for _ in range(_MAX_UNITS):
        if at >= len(content):
            return
        length = int.from_bytes(content[at : at + size])
        unit = content[at + size : at + size + 3]
        at += size + length
        if length < 3 or at > len(content):
            raise UndecodableImage(DAMAGED)
        # Behind the unit's header, the first bit is set if a frame begins.
        if unit[0] >> 1 & 0x3F < _FIRST_NOT_CODED and unit[2] & 0x80:
            frames += 1
        if frames > _MAX_FRAMES:
            break
    raise UndecodableImage(_TOO_MANY)


def check_av1(content: bytes, width: int, height: int) -> None:
    """Check the units of a coded AV1 image of this size in pixels.

    Raises:
        UndecodableImage: the data are damaged, have another size, or have more than a few frames.
    """
    frames = 0
    sizes = set[tuple[int, int]]()
    for kind, start, end in _obus(content):
        frames += kind in (_FRAME_HEADER, _FRAME)
        if kind == _SEQUENCE_HEADER:
            sizes.add(_largest_frame(content[start : min(end, start + _MAX_SEQUENCE_HEADER)]))
        if frames > _MAX_FRAMES:
            raise UndecodableImage(_TOO_MANY)
    if sizes != {(width, height)}:
        raise UndecodableImage("The image has another size than its header says; send the original file.")


def _obus(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield kind, start and end of each unit of AV1 (AV1 specification, 5.3)."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(content):
            return
        header = content[at]
        at += 2 if header & 4 else 1
        length = len(content) - at
        if header & 2:
            length, at = _leb128(content, at)
        if at + length > len(content):
            raise UndecodableImage(DAMAGED)
        yield header >> 3 & 15, at, at + length
        at += length
    raise UndecodableImage(_TOO_MANY)


def _leb128(content: bytes, at: int) -> tuple[int, int]:
    """Return a number in groups of seven bits, the lowest first, and the offset behind it (4.10.5)."""
    number = 0
    for position in range(8):
        byte = content[at + position]
        number |= (byte & 0x7F) << 7 * position
        if not byte & 0x80:
            return number, at + position + 1
    raise UndecodableImage(DAMAGED)


def _largest_frame(header: bytes) -> tuple[int, int]:
    """Return the largest width and height that a sequence header allows (AV1 specification, 5.5.1)."""
    bits = _Bits(header)
    bits.read(3 + 1)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.read(5)
    else:
        delay_bits = 0
        has_timing = bits.read(1)
        if has_timing:
            bits.read(64)
            if bits.read(1):
                bits.read_exp_golomb()
            if bits.read(1):  # decoder model
                delay_bits = bits.read(5) + 1
                bits.read(32 + 5 + 5)
        has_delays = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay_bits and bits.read(1):
                bits.read(2 * delay_bits + 1)
            if has_delays and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


class _Bits:
    """Reads a header bit by bit, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data)
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise UndecodableImage(DAMAGED)
        return self._number >> self._left & (1 << count) - 1

    def read_exp_golomb(self) -> int:
        """Read a number in the code of AV1's `uvlc` (4.10.3)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros) if zeros < 32 else 2**32 - 1
