"""The header of a PNG, from its chunks."""

import struct
from collections.abc import Iterator

from visage.errors import UndecodableImage
from visage.images.exif import exif_orientation
from visage.images.image_header import ImageHeader

# Chunks up to IEND. libpng writes pixels in chunks of 8 KiB, so 800 MB of them fit; 50 MiB, the most that a body has by
# default, may come in chunks of 500 bytes, and an animation may have 50,000 frames (two chunks each).
_MAX_CHUNKS = 100_000


def read_png_header(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise UndecodableImage("The PNG is damaged in its header; send the original file.")
    width, height = struct.unpack_from(">II", data, 16)
    depth, colour_type = data[24], data[25]
    has_alpha = colour_type in (4, 6)  # grey with alpha, RGB with alpha (PNG, 11.2.2)
    orientation = None
    for kind, start, end in png_chunks(data):
        if kind == b"IDAT":
            break
        if kind == b"tRNS":
            has_alpha = True
        if kind == b"eXIf" and orientation is None:
            orientation = exif_orientation(memoryview(data)[start + 8 : end - 4])
    # Transparency is decoded to 4 channels of the image's depth, twice. Without it OpenCV keeps 8 bits of each channel.
    bytes_per_pixel = (16 if depth == 16 else 8) if has_alpha else 6
    return ImageHeader("PNG", width, height, orientation or 1, has_alpha, bytes_per_pixel)


def is_16_bit_png(data: bytes) -> bool:
    """Whether the channels of a PNG have 16 bits. Its header must be valid."""
    return data[24] == 16


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk up to IEND; start and end include the chunk's length and checksum.

    Raises:
        UndecodableImage: a chunk is longer than the rest of the data, or there are too many.
    """
    end = 8
    for _ in range(_MAX_CHUNKS):
        start = end
        length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        end = start + 12 + length
        if end > len(data):
            raise UndecodableImage("The PNG is cut short; send the whole original file.")
        yield kind, start, end
        if kind == b"IEND":
            return
    raise UndecodableImage("The PNG has too many chunks; save it again and send that.")


def essential_png(data: bytes) -> bytes:
    """Return a PNG with critical chunks and transparency only, without animation, texts and profiles.

    OpenCV 4.12 crashes on damaged animations. It also allocates the memory that the length of a chunk says, so 100
    bytes could take 4 GB; `png_chunks` rejects such lengths.
    """
    # Slices of a view are no copies.
    view = memoryview(data)
    return b"".join(view[start:end] for start, end in _essential_ranges(data))


def _essential_ranges(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the ranges to keep. Adjacent chunks are one range, so many of them take no memory."""
    first, last = 0, 8
    for kind, start, end in png_chunks(data):
        # Bit 5 of a chunk's first letter is set if decoders may ignore it (PNG, 5.4).
        if kind != b"tRNS" and kind[0] & 0x20:
            continue
        if start > last:
            yield first, last
            first = start
        last = end
    yield first, last
