"""The first directory of a TIFF: numbers and bytes by their tag (TIFF 6.0, section 2)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from visage.errors import UndecodableImage
from visage.images.image_header import UnsupportedKind

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_BIG_TIFF = (b"II+\0", b"MM\0+")

# Entries of a directory. Cameras and scanners write up to a hundred.
_MAX_ENTRIES = 4096

# Types of whole numbers: BYTE, SHORT and LONG, with their letter for `struct` and their bytes. UNDEFINED holds bytes.
_NUMBERS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}
_UNDEFINED = 7

# The values of a directory by tag: their type as a letter for `struct`, `H` or `I`, and the numbers.
Numbers = Mapping[int, tuple[str, tuple[int, ...]]]

DAMAGED = "The TIFF is damaged in its header; send the original file."


@dataclass(frozen=True)
class Entry:
    """Type and number of the values of an entry, and the offset of the first."""

    kind: int
    count: int
    start: int


@dataclass(frozen=True)
class Directory:
    """A directory. `order` is `<` for little endian and `>` for big endian."""

    data: bytes
    order: str
    entries: Mapping[int, Entry]

    def numbers(self, tag: int, most: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the first whole numbers of an entry, at most `most`, or `default` if there is no such entry.

        Raises:
            UndecodableImage: the entry has values of another type, or lies outside the file.
        """
        entry = self.entries.get(tag)
        if entry is None:
            return default
        letter, size = _NUMBERS.get(entry.kind, ("", 0))
        if not letter or entry.start + entry.count * size > len(self.data):
            raise UndecodableImage(DAMAGED)
        return struct.unpack_from(f"{self.order}{min(entry.count, most)}{letter}", self.data, entry.start)

    def number(self, tag: int, default: int) -> int:
        """Return the first number of an entry."""
        values = self.numbers(tag, 1)
        return values[0] if values else default

    def bytes(self, tag: int, most: int) -> bytes:
        """Return the bytes of an entry; none if there are more than `most`, or no such entry."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in (1, _UNDEFINED) or entry.count > most:
            return b""
        content = self.data[entry.start : entry.start + entry.count]
        return content if len(content) == entry.count else b""


def read_directory(data: bytes) -> Directory:
    """Read the first directory of a TIFF.

    Raises:
        UnsupportedKind: it is a BigTIFF.
        UndecodableImage: there are too many entries.
        struct.error: it is cut short.
    """
    if data[:4] in _BIG_TIFF:
        raise UnsupportedKind("A BigTIFF is not accepted; save it as an ordinary TIFF or PNG.")
    order = ORDERS[data[:4]]
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    if count > _MAX_ENTRIES:
        raise UndecodableImage(DAMAGED)
    entries: dict[int, Entry] = {}
    for start in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length, offset = struct.unpack_from(f"{order}HHII", data, start)
        # Up to four bytes stand in the entry itself.
        inside = length * _NUMBERS.get(kind, ("", 1))[1] <= 4
        entries.setdefault(tag, Entry(kind, length, start + 8 if inside else offset))
    return Directory(data, order, entries)


def write_directory(order: str, values: Numbers, at: int) -> bytes:
    """Return a directory for offset `at`, and behind it the values that do not fit into it."""
    kinds = {letter: (kind, size) for kind, (letter, size) in _NUMBERS.items()}
    entries, more = [struct.pack(f"{order}H", len(values))], b""
    rest = at + 2 + 12 * len(values) + 4
    for tag, (letter, numbers) in sorted(values.items()):
        kind, _ = kinds[letter]
        content = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(content) > 4:
            content, more = struct.pack(f"{order}I", rest + len(more)), more + content
        entries.append(struct.pack(f"{order}HHI", tag, kind, len(numbers)) + content.ljust(4, b"\0"))
    return b"".join(entries) + bytes(4) + more
