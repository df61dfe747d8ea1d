"""The header of a PNG, from its chunks."""

import struct
from collections.abc import Iterator

from visage.errors import UndecodableImage
from visage.images.exif import exif_orientation
from visage.images.image_header import ImageHeader


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
            orientation = exif_orientation(data[start + 8 : end - 4])
    # Transparency is decoded to 4 channels of the image's depth, twice. Without it OpenCV keeps 8 bits of each channel.
    bytes_per_pixel = (16 if depth == 16 else 8) if has_alpha else 6
    return ImageHeader("PNG", width, height, orientation or 1, has_alpha, bytes_per_pixel)


def is_16_bit_png(data: bytes) -> bool:
    """Whether the channels of a PNG have 16 bits. Its header must be valid."""
    return data[24] == 16


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk up to IEND; start and end include the chunk's length and checksum.

    Raises:
        UndecodableImage: a chunk is longer than the rest of the data.
    """
    kind, end = b"", 8
    while kind != b"IEND":
        start = end
        length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        end = start + 12 + length
        if end > len(data):
            raise UndecodableImage("The PNG is cut short; send the whole original file.")
        yield kind, start, end


def essential_png(data: bytes) -> bytes:
    """Return a PNG with critical chunks and transparency only, without animation, texts and profiles.

    OpenCV 4.12 crashes on damaged animations. It also allocates the memory that the length of a chunk says, so 100
    bytes could take 4 GB; `png_chunks` rejects such lengths.
    """
    # Bit 5 of a chunk's first letter is set if decoders may ignore it (PNG, 5.4).
    kept = [(start, end) for kind, start, end in png_chunks(data) if kind == b"tRNS" or not kind[0] & 0x20]
    # Slices of a view are no copies.
    view = memoryview(data)
    return b"".join((view[:8], *(view[start:end] for start, end in kept)))
