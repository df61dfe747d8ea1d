"""The boxes of ISO base media files, of which HEIC and AVIF are two kinds (ISO/IEC 14496-12, 4.2)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from visage.errors import UndecodableImage

# Boxes beside each other. A photo of a phone has about a hundred, a burst some thousands.
_MAX_BOXES = 20_000


@dataclass(frozen=True)
class Box:
    """A box: its kind, and where its content starts and ends in the file."""

    kind: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets. Up to seven bytes at the end may be left over.

    Raises:
        UndecodableImage: a box is longer than its surroundings, or there are too many.
    """
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        elif size == 0:
            size = end - start
        if size < content - start or start + size > end:
            raise UndecodableImage("The image is cut short or damaged in its header; send the whole original file.")
        yield Box(kind, content, start + size)
        start += size
    raise UndecodableImage("The image has too many parts in its header; save it again and send that.")


def write_box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def write_full_box(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    """A box that begins with a version, 0, and flags."""
    return write_box(kind, struct.pack(">I", flags), *content)
