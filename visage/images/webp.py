"""The header of a WebP, and the first frame of an animated one."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from visage.errors import UndecodableImage
from visage.images.exif import exif_orientation
from visage.images.image_header import ImageHeader

# Bits of the flags of an extended file (Google, "WebP Container Specification").
_ALPHA, _ANIMATION = 0x10, 0x02

# The chunks that have the pixels of a still image, with loss and without.
_PIXELS = (b"VP8 ", b"VP8L")


# Chunks of a file, or of a frame. This is enough for an animation of 55 minutes with 30 frames a second; a still image
# has about six.
_MAX_CHUNKS = 100_000


@dataclass(frozen=True)
class Frame:
    """A frame of an animation.

    `image` is a WebP of its own. `left` and `top` are its place in the canvas and `width` and `height` its size, in
    pixels.
    """

    image: bytes
    left: int
    top: int
    width: int
    height: int


def read_webp_header(data: bytes) -> ImageHeader:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("WebP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return _header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, has_alpha=bool(bits >> 28 & 1))
    if kind == b"VP8X":
        width, height = _uint24(data, 24) + 1, _uint24(data, 27) + 1
        # The first frame of an animation may leave a part of the canvas free.
        has_alpha = bool(data[20] & (_ALPHA | _ANIMATION))
        return _header(width, height, has_alpha=has_alpha, orientation=_orientation(data))
    raise UndecodableImage("The WebP is damaged in its header; send the original file.")


def first_frame(data: bytes) -> Frame | None:
    """Return the first frame of an animation, or None for a still image.

    OpenCV's decoder of animations keeps three canvases of 4 bytes per pixel, whatever the size of the frames.

    Raises:
        UndecodableImage: the animation is cut short, or its first frame is damaged.
    """
    if data[12:16] != b"VP8X" or not data[20] & _ANIMATION:
        return None
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise UndecodableImage("The WebP is cut short; send the whole original file.")
    content = next((data[start:end] for kind, start, end in webp_chunks(data) if kind == b"ANMF"), b"")
    # Position in pairs of pixels, size minus 1, duration and flags, then the chunks of a still image
    # (Google, "WebP Container Specification").
    alpha = pixels = b""
    for kind, start, end in _chunks(content, 16, len(content)):
        if kind == b"ALPH":
            alpha = content[start - 8 : end + (end - start & 1)]
        elif kind in _PIXELS:
            pixels = content[start - 8 : end + (end - start & 1)]
            break
    if not pixels:
        raise UndecodableImage("The WebP is damaged in its first frame; send the original file.")
    left, top, width, height = (_uint24(content, at) for at in (0, 3, 6, 9))
    if pixels.startswith(b"VP8 ") and alpha:
        canvas = struct.pack("<4sII", b"VP8X", 10, _ALPHA) + content[6:12]
        pixels = canvas + alpha + pixels
    image = struct.pack("<4sI4s", b"RIFF", len(pixels) + 4, b"WEBP") + pixels
    return Frame(image, 2 * left, 2 * top, width + 1, height + 1)


def is_lossless_webp(data: bytes) -> bool:
    """Whether the image, or the first frame of an animation, is coded without loss. Its header must be valid."""
    frame = first_frame(data)
    for kind, _, _ in webp_chunks(frame.image if frame else data):
        if kind in _PIXELS:
            return kind == b"VP8L"
    return False


def _header(width: int, height: int, *, has_alpha: bool, orientation: int = 1) -> ImageHeader:
    return ImageHeader("WebP", width, height, orientation, has_alpha, bytes_per_pixel=8 if has_alpha else 6)


def _orientation(data: bytes) -> int:
    for kind, start, end in webp_chunks(data):
        if kind == b"EXIF":
            prefix = 6 if data.startswith(b"Exif\0\0", start) else 0
            return exif_orientation(memoryview(data)[start + prefix : end])
    return 1


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each chunk of a file. Bytes behind its end are ignored.

    Raises:
        UndecodableImage: there are too many chunks.
    """
    # The size in the header does not count kind and size (RFC 9649, 2.4).
    return _chunks(data, 12, min(len(data), 8 + int.from_bytes(data[4:8], "little")))


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, at + 8 + length
        at += 8 + length + (length & 1)
    raise UndecodableImage("The WebP has too many chunks; save it again and send that.")


def _uint24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
