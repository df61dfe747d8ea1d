"""ZIP archives that clients send, read as if they were hostile.

Python's zipfile reads them; here is what it leaves to its callers: bounds on how many files there are and on what they
unpack to. What an archive says of sizes limits nothing: what is read is counted. Nothing is written to a disk, least of
all under a name that an archive chose.
"""

import io
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from visage.batches.file_names import safe_names
from visage.errors import ArchiveTooLarge, BadArchive, ImageTooLarge, UnsupportedType, VisageError

# What a ZIP begins with, unless a program that unpacks it stands before it; the second is that of an empty one.
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

# What ends an archive, without and with Zip64 (PKWARE, "APPNOTE", 6.3.10: 4.3.16, 4.3.14 and the length of 4.3.15).
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64_BYTES = 20
_LONGEST_COMMENT = 0xFFFF

# A list may have this many records, of this many bytes on average, for directories and what systems add.
_RECORDS_PER_FILE, _MORE_RECORDS = 4, 1000
_RECORD_BYTES = 1024

# Bits 0: encrypted; 6: strongly; 13: the headers as well; 11: the name is UTF-8 (APPNOTE 4.4.4).
_ENCRYPTED = 0x2041
_UTF_8 = 0x0800

# What systems add of their own accord: thumbnails, folder settings, and beside each file of a Mac a second one.
_SYSTEM_FOLDER = "__MACOSX"
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})

# Bytes, in a file and in the whole, up to which no ratio is asked for: drawings in few colours shrink a thousandfold.
_SMALL_FILE = 2**20
_SMALL_WHOLE = 2**26

_PIECE = 2**16

_DAMAGED = "The archive is damaged or cut short; send it again, whole."
_FILE_DAMAGED = "The file is damaged in the archive; pack it again."


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold: `files` in number, `file_bytes` in each and `total_bytes` in all, unpacked.

    `ratio` is how many times larger than packed a file may be from 1 MiB on, and the whole from 64 MiB on. Photos
    hardly shrink, and deflate packs at most 1,032 to 1 (zlib's "Technical Details").
    """

    files: int
    file_bytes: int
    total_bytes: int
    ratio: int = 100


@dataclass(frozen=True)
class ArchivedFile:
    """A file from an archive: a safe `name`, and its `content` or the reason why it is refused."""

    name: str
    content: bytes | VisageError


def read_archive(archive: BinaryIO, limits: ArchiveLimits) -> Iterator[ArchivedFile]:
    """Yield the files of a ZIP in the order of its list, without directories and what systems add of their own.

    `archive` is at any position, seekable, and left open. The list is read before this returns, each file when its turn
    comes; nothing of a file is kept here once the next is asked for. Names are as `safe_names` makes them.

    A file is refused by itself, and the others go on, if it is encrypted, compressed by anything but deflate, a link
    or a device, another ZIP (UnsupportedType), larger than it may be (ImageTooLarge), or damaged (BadArchive). bzip2
    and LZMA are not read: photos gain nothing from them, and LZMA takes as much memory as an archive tells it to.

    Raises:
        BadArchive: not a ZIP, cut short, in several parts, or files in it share their bytes.
        ArchiveTooLarge: it lists too many files; or, later and from the iterator, it unpacks to too much.
    """
    list_start, count = _find_list(archive, limits.files)
    try:
        opened = ZipFile(archive)
    except (BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise BadArchive(_DAMAGED) from None
    records = opened.infolist()
    # Without Zip64 the number has 16 bits, and some who pack more files let it run over.
    if (len(records) - count) % 2**16:
        raise BadArchive(_DAMAGED)
    unpacking = _Unpacking(archive, opened, _ends(records, list_start), limits)
    files = [record for record in records if _is_a_file_of_the_sender(record)]
    if len(files) > limits.files:
        raise ArchiveTooLarge(f"The archive holds {len(files)} files; send at most {limits.files} in one.")
    names = safe_names(map(_name, files))
    return (ArchivedFile(name, unpacking.content(record)) for name, record in zip(names, files, strict=True))


def _find_list(archive: BinaryIO, files: int) -> tuple[int, int]:
    """Where the list of an archive starts, in bytes, and how many records it is said to have.

    ZipFile takes a list of millions into memory before it can be asked how many there are. So the end of the archive
    is found here first, in the same way, and the list measured.
    """
    size = archive.seek(0, io.SEEK_END)
    tail_start = archive.seek(max(0, size - _END.size - _LONGEST_COMMENT - _LOCATOR_64_BYTES - _END_64.size))
    tail = archive.read()
    end = tail.rfind(b"PK\5\6", 0, -_END.size + 4)
    if end < 0:
        raise BadArchive("This is not a ZIP archive, or not the whole of one; send it as it was packed.")
    _, disk, disk_of_list, _, count, list_bytes, offset, _ = _END.unpack_from(tail, end)
    if tail.startswith(b"PK\6\7", end - _LOCATOR_64_BYTES):
        end -= _LOCATOR_64_BYTES + _END_64.size
        if end < 0 or not tail.startswith(b"PK\6\6", end):
            raise BadArchive(_DAMAGED)
        _, _, _, _, disk, disk_of_list, _, count, list_bytes, offset = _END_64.unpack_from(tail, end)
    if disk or disk_of_list:
        raise BadArchive("The archive is one part of several; join them, or pack the files into one.")
    most = _RECORDS_PER_FILE * files + _MORE_RECORDS
    too_many = ArchiveTooLarge(f"The archive lists too many files; send at most {files} in one.")
    if count > most or list_bytes > most * _RECORD_BYTES:
        raise too_many
    list_start = tail_start + end - list_bytes
    if offset > list_start:
        raise BadArchive(_DAMAGED)
    archive.seek(list_start)
    # Every record begins so. What it says of its number is not believed.
    if archive.read(list_bytes).count(b"PK\1\2") > most:
        raise too_many
    return list_start, count


def _ends(records: Sequence[ZipInfo], list_start: int) -> Mapping[int, int]:
    """Where a file must have ended, by where it starts: at the next one, or at the list.

    Files that share bytes are how an archive unpacks to millions of times its size (D. Fifield, "A better zip bomb",
    WOOT 2019). ZipFile itself refuses them only from Python 3.11.8 on.
    """
    starts = sorted(record.header_offset for record in records)
    ends = dict(pairwise([*starts, list_start]))
    # Two that start together have one end between them.
    if len(ends) < len(records) or any(
        record.header_offset + record.compress_size > ends[record.header_offset] for record in records
    ):
        raise BadArchive("Files in the archive share bytes, or reach beyond its end; pack it again.")
    return ends


def _name(record: ZipInfo) -> str:
    """Info-ZIP's Unicode name (APPNOTE 4.6.9), or UTF-8 where it is UTF-8, as a Mac writes it unflagged; else CP437."""
    name = record.orig_filename
    if record.flag_bits & _UTF_8:
        return name
    plain = name.encode("cp437")
    # Python 3.11's ZipFile does not know this field, which holds good for the name whose checksum it has.
    before, found, unicode_name = record.extra.partition(b"\1" + zlib.crc32(plain).to_bytes(4, "little"))
    if found and before[-4:-2] == b"up":
        plain = unicode_name[: int.from_bytes(before[-2:], "little") - 5]
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return name


def _is_a_file_of_the_sender(record: ZipInfo) -> bool:
    """False for directories and for what systems add."""
    *folders, name = _name(record).replace("\\", "/").split("/")
    added = _SYSTEM_FOLDER in folders or name.lower() in _SYSTEM_FILES
    return bool(name) and not stat.S_ISDIR(_mode(record)) and not added


def _mode(record: ZipInfo) -> int:
    """Unix's, 0 where there is none."""
    return record.external_attr >> 16


class _Unpacking:
    """The files of an archive as they are unpacked, and how many bytes they may still take together."""

    def __init__(self, archive: BinaryIO, opened: ZipFile, ends: Mapping[int, int], limits: ArchiveLimits) -> None:
        self._archive = archive
        self._opened = opened
        self._ends = ends
        self._limits = limits
        self._left = min(limits.total_bytes, max(_SMALL_WHOLE, limits.ratio * archive.seek(0, io.SEEK_END)))

    def content(self, record: ZipInfo) -> bytes | VisageError:
        """The content of a file, or why it is refused."""
        try:
            _refuse_unread(record)
            return self._read(record)
        except (UnsupportedType, ImageTooLarge, BadArchive) as refusal:
            # Its traceback would keep what was unpacked as long as somebody keeps the refusal.
            return refusal.with_traceback(None)
        except (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError):
            return BadArchive(_FILE_DAMAGED)

    def _read(self, record: ZipInfo) -> bytes:
        largest, ratio = self._limits.file_bytes, self._limits.ratio
        content = io.BytesIO()
        with self._opened.open(record) as file:
            # Now the archive stands behind the header of the file, whose length the list does not tell.
            if self._archive.tell() + record.compress_size > self._ends[record.header_offset]:
                raise BadArchive(_FILE_DAMAGED)
            while piece := file.read(_PIECE):
                self._spend(len(piece))
                if content.tell() == 0 and piece.startswith(ZIP_MAGIC):
                    raise UnsupportedType("This is a ZIP inside the ZIP; unpack it first.")
                content.write(piece)
                if content.tell() > largest:
                    raise ImageTooLarge(f"The file is larger than {largest} bytes; send a smaller copy of the photo.")
                if content.tell() > max(_SMALL_FILE, ratio * record.compress_size):
                    raise ImageTooLarge(f"The file unpacks to more than {ratio} times its size, as no photo does.")
        if content.tell() != record.file_size:
            raise BadArchive(_FILE_DAMAGED)
        return content.getvalue()

    def _spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise ArchiveTooLarge("The archive holds too much once it is unpacked; send its files in several batches.")


def _refuse_unread(record: ZipInfo) -> None:
    if stat.S_IFMT(_mode(record)) not in (0, stat.S_IFREG):
        raise UnsupportedType("This is a link or a device and no file; pack the photo itself.")
    if record.flag_bits & _ENCRYPTED:
        raise UnsupportedType("The file is encrypted; pack it without a password.")
    # ZipFile would read bzip2 and LZMA as well.
    if record.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        method = record.compress_type
        raise UnsupportedType(f"Compression method {method} is not accepted; pack with the usual one, deflate.")
