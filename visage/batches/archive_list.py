"""The list at the end of a ZIP: what an archive says of the files in it, before any of them is read.

Read here from its bytes up (PKWARE, "APPNOTE", 6.3.10) and not by Python's zipfile, which takes a list of millions of
files into memory before it can be asked how many there are.
"""

import io
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import BinaryIO

from visage.errors import ArchiveTooLarge, BadArchive

# APPNOTE 4.3.7: what stands before each file.
LOCAL_HEADER = struct.Struct("<4s5H3L2H")

# 4.3.12, 4.3.14, 4.3.15 and 4.3.16: the list, and what ends the archive.
_LISTED = struct.Struct("<4s6H3L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_LONGEST_COMMENT = 0xFFFF

# Says that the real number stands in the Zip64 extra field (4.5.3).
_ELSEWHERE = 0xFFFFFFFF
_EXTRA_ZIP64 = 0x0001
# Info-ZIP's (4.6.9).
_EXTRA_UNICODE_PATH = 0x7075

# What systems add of their own accord: thumbnails, folder settings, and beside each file of a Mac a second one.
_SYSTEM_FOLDER = "__MACOSX"
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})

# A list may have this many records, of this many bytes on average, for directories and what systems add.
_RECORDS_PER_FILE, _MORE_RECORDS = 4, 1000
_RECORD_BYTES = 1024

_DAMAGED = "The archive is damaged or cut short; send it again, whole."


@dataclass(frozen=True)
class _List:
    """`content`, where it starts in the archive, what was put `before` the archive, in bytes, and its `records`."""

    content: bytes
    records: int
    start: int
    before: int


@dataclass(frozen=True)
class Record:
    """A file as the list has it: where it lies, `packed` and unpacked `size`, all in bytes.

    `start` is that of its local header and `end` that of whatever comes behind it, so that no two records share bytes.
    `mode` is Unix's, 0 where there is none. `method` is 0 for stored, 8 for deflate.
    """

    name: str
    start: int
    end: int
    packed: int
    size: int
    crc: int
    method: int
    flags: int
    mode: int

    @property
    def is_a_file_of_the_sender(self) -> bool:
        """False for directories and for what systems add."""
        *folders, name = self.name.replace("\\", "/").split("/")
        added = _SYSTEM_FOLDER in folders or name.lower() in _SYSTEM_FILES
        return bool(name) and not stat.S_ISDIR(self.mode) and not added


def read_list(archive: BinaryIO, files: int) -> list[Record]:
    """The records of an archive for at most `files` files, in their order; directories among them.

    Raises:
        BadArchive: not a ZIP, cut short, in several parts, or two files share bytes.
        ArchiveTooLarge: more than four records a file and a thousand, or of more than 1 KiB on average.
    """
    found = _find_list(archive, files)
    records: list[Record] = []
    try:
        for record in _records(found):
            _limit(files, len(records) + 1, len(found.content))
            records.append(record)
    except struct.error:
        raise BadArchive(_DAMAGED) from None
    # Without Zip64 the number has 16 bits, and some who pack more files let it run over.
    if (len(records) - found.records) % 2**16:
        raise BadArchive(_DAMAGED)
    return _apart(records, found.start)


def _limit(files: int, records: int, list_bytes: int) -> None:
    most = _RECORDS_PER_FILE * files + _MORE_RECORDS
    if records > most or list_bytes > most * _RECORD_BYTES:
        raise ArchiveTooLarge(f"The archive lists too many files; send at most {files} in one.")


def _find_list(archive: BinaryIO, files: int) -> _List:
    tail_start = max(0, archive.seek(0, io.SEEK_END) - _END.size - _LONGEST_COMMENT)
    archive.seek(tail_start)
    tail = archive.read(_END.size + _LONGEST_COMMENT)
    found = tail.rfind(b"PK\5\6", 0, max(0, len(tail) - _END.size + 4))
    if found < 0:
        raise BadArchive("This is not a ZIP archive, or not the whole of one; send it as it was packed.")
    end = tail_start + found
    _, disk, disk_of_list, _, records, size, start, _ = _END.unpack_from(tail, found)

    archive.seek(max(0, end - _LOCATOR_64.size - _END_64.size))
    end_64 = archive.read(_END_64.size)
    if archive.read(_LOCATOR_64.size).startswith(b"PK\6\7"):
        if not end_64.startswith(b"PK\6\6"):
            raise BadArchive(_DAMAGED)
        end -= _LOCATOR_64.size + _END_64.size
        _, _, _, _, disk, disk_of_list, _, records, size, start = _END_64.unpack(end_64)

    if disk or disk_of_list:
        raise BadArchive("The archive is one part of several; join them, or pack the files into one.")
    _limit(files, records, size)
    if start + size > end:
        raise BadArchive(_DAMAGED)
    archive.seek(end - size)
    return _List(archive.read(size), records, start=end - size, before=end - size - start)


def _records(found: _List) -> Iterator[Record]:
    """Raises struct.error where the list ends too early."""
    at = 0
    while at < len(found.content):
        signature, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, attributes, start = (
            _LISTED.unpack_from(found.content, at)
        )
        name_start = at + _LISTED.size
        extra_start = name_start + lengths[0]
        comment_start = extra_start + lengths[1]
        at = comment_start + lengths[2]
        if signature != b"PK\1\2" or at > len(found.content):
            raise BadArchive(_DAMAGED)
        extra = _extra_fields(found.content[extra_start:comment_start])
        size, packed, start = _widened((size, packed, start), extra.get(_EXTRA_ZIP64, b""))
        yield Record(
            name=_decoded(found.content[name_start:extra_start], extra.get(_EXTRA_UNICODE_PATH, b"")),
            start=found.before + start,
            end=found.start,
            packed=packed,
            size=size,
            crc=crc,
            method=method,
            flags=flags,
            mode=attributes >> 16,
        )


def _extra_fields(extra: bytes) -> Mapping[int, bytes]:
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        fields.setdefault(kind, extra[at + 4 : at + 4 + length])
        at += 4 + length
    return fields


def _widened(numbers: Sequence[int], field: bytes) -> Iterator[int]:
    """The numbers, with those that need it taken from the Zip64 extra field: it holds only these, in their order."""
    wide = struct.iter_unpack("<Q", field[: len(field) // 8 * 8])
    return (next(wide, (number,))[0] if number == _ELSEWHERE else number for number in numbers)


def _decoded(name: bytes, unicode_path: bytes) -> str:
    """UTF-8 where it is UTF-8, whatever the flag for it says, for a Mac's archives do not set it; else CP437."""
    if unicode_path[:5] == b"\1" + zlib.crc32(name).to_bytes(4, "little"):
        name = unicode_path[5:]
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _apart(records: Sequence[Record], end: int) -> list[Record]:
    """The records, each with its end.

    Files that share bytes are how an archive unpacks to millions of times its size (D. Fifield, "A better zip bomb",
    WOOT 2019).
    """
    starts = sorted(record.start for record in records)
    ends = dict(pairwise([*starts, end]))
    # Two that start together have one end between them.
    if len(ends) < len(records) or any(
        record.start + LOCAL_HEADER.size + record.packed > ends[record.start] for record in records
    ):
        raise BadArchive("Files in the archive share bytes, or reach beyond its end; pack it again.")
    return [replace(record, end=ends[record.start]) for record in records]
