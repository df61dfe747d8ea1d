"""Read ZIP archives from clients, which may be hostile.

Python's zipfile parses them. This module adds limits on the number of files and on their unpacked size. It counts the
bytes that it reads, because the sizes in an archive can be forged. It writes nothing to the disk.
"""

import io
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from visage.batches.archive_directory import DAMAGED, DIRECTORY_BUDGET, FILE_BUDGET, Directory, find_directory
from visage.batches.file_names import safe_names
from visage.errors import ArchiveTooLarge, BadArchive, ImageTooLarge, UnsupportedType, VisageError

# The first bytes of a ZIP, and of an empty ZIP. A self-extracting archive begins with a program instead.
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

# Flags (APPNOTE 4.4.4): bit 0 encrypted, bit 6 strong encryption, bit 13 encrypted headers, bit 11 name in UTF-8.
_ENCRYPTED = 0x2041
_UTF_8 = 0x0800

# Files that operating systems add: thumbnails, folder settings, and the resource forks of macOS.
_SYSTEM_FOLDER = "__MACOSX"
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})

# Unpacked bytes, in a file and in total, below which the ratio is not limited: drawings with few colours shrink to a
# thousandth.
_SMALL_FILE = 2**20
_SMALL_TOTAL = 2**26

# Bytes that are unpacked at once.
_CHUNK = 2**16

_FILE_DAMAGED = "The file is damaged in the archive; pack it again."


@dataclass(frozen=True)
class ArchiveLimits:
    """Limits of an archive: the number of `files`, unpacked `file_bytes` per file, and unpacked `total_bytes`.

    `ratio` limits unpacked to packed bytes, for files over 1 MiB and for archives over 64 MiB. Photos hardly shrink;
    deflate reaches at most 1,032 to 1 (zlib, "Technical Details").
    """

    files: int
    file_bytes: int
    total_bytes: int
    ratio: int = 100


@dataclass(frozen=True)
class ArchivedFile:
    """A file from an archive: a safe `name`, and the `content` or the error that rejects the file."""

    name: str
    content: bytes | VisageError


def read_archive(archive: BinaryIO, limits: ArchiveLimits) -> Iterator[ArchivedFile]:
    """Yield the files of a ZIP in the order of its central directory, without folders and system files.

    `archive` must be seekable, at any position; it stays open. The end of the archive is read before this function
    returns, the rest when the iterator reaches it. The central directory and one file at a time are in memory. The
    directories of all archives share `DIRECTORY_BUDGET`, and large files `FILE_BUDGET`; the iterator waits until there
    is room. Names are those of `safe_names`.

    A single file is rejected, and the rest continues, if it is encrypted, compressed by another method than deflate, a
    link or a device, or another ZIP (UnsupportedType); if it is too large (ImageTooLarge); or if it is damaged
    (BadArchive). bzip2 and LZMA are rejected: photos gain nothing from them, and an LZMA archive chooses how much
    memory its reader needs.

    Raises:
        BadArchive: not a ZIP, incomplete or one part of several. The iterator raises it if files share bytes.
        ArchiveTooLarge: it lists too many files or too long names. The iterator raises it if too many bytes are
            unpacked.
    """
    return _read_files(archive, find_directory(archive, limits.files), limits)


def _read_files(archive: BinaryIO, directory: Directory, limits: ArchiveLimits) -> Iterator[ArchivedFile]:
    with DIRECTORY_BUDGET.reserve(directory.memory):
        opened, records = _open(archive, directory)
        unpacker = _Unpacker(archive, opened, _end_offsets(records, directory.start), limits)
        files = [record for record in records if _is_user_file(record)]
        if len(files) > limits.files:
            raise ArchiveTooLarge(f"The archive contains {len(files)} files; send at most {limits.files} in one.")
        names = safe_names(map(_name, files))
        for name, record in zip(names, files, strict=True):
            # ZipFile unpacks no more than the stated size.
            with FILE_BUDGET.reserve(min(record.file_size, limits.file_bytes)):
                yield ArchivedFile(name, unpacker.content(record))


def _open(archive: BinaryIO, directory: Directory) -> tuple[ZipFile, Sequence[ZipInfo]]:
    try:
        opened = ZipFile(archive)
    except (BadZipFile, NotImplementedError, UnicodeDecodeError):
        raise BadArchive(DAMAGED) from None
    records = opened.infolist()
    # Without Zip64 the number has 16 bits; with more files, some programs let it overflow.
    if (len(records) - directory.stated_records) % 2**16:
        raise BadArchive(DAMAGED)
    return opened, records


def _end_offsets(records: Sequence[ZipInfo], directory_start: int) -> Mapping[int, int]:
    """Return the offset where each file must end, by the offset where it starts: the next file or the directory.

    With files that share bytes, an archive can unpack to millions of times its size (D. Fifield, "A better zip bomb",
    WOOT 2019). ZipFile rejects them only since Python 3.11.8.
    """
    starts = sorted(record.header_offset for record in records)
    ends = dict(pairwise([*starts, directory_start]))
    # Files with the same start have one entry.
    if len(ends) < len(records) or any(
        record.header_offset + record.compress_size > ends[record.header_offset] for record in records
    ):
        raise BadArchive("Files in the archive share bytes or extend beyond its end; pack it again.")
    return ends


def _name(record: ZipInfo) -> str:
    """Return the name of a file.

    In this order: UTF-8 if the flag says so, Info-ZIP's Unicode name (APPNOTE 4.6.9), UTF-8 if it is valid, as macOS
    writes it without the flag, or CP437.
    """
    name = record.orig_filename
    if record.flag_bits & _UTF_8:
        return name
    plain = name.encode("cp437")
    # ZipFile of Python 3.11 ignores this field. It counts if it has the checksum of the plain name.
    before, found, unicode_name = record.extra.partition(b"\1" + zlib.crc32(plain).to_bytes(4, "little"))
    if found and before[-4:-2] == b"up":
        plain = unicode_name[: int.from_bytes(before[-2:], "little") - 5]
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return name


def _is_user_file(record: ZipInfo) -> bool:
    """Whether a record is neither a folder nor a system file."""
    *folders, name = _name(record).replace("\\", "/").split("/")
    is_system_file = _SYSTEM_FOLDER in folders or name.lower() in _SYSTEM_FILES
    return bool(name) and not stat.S_ISDIR(_mode(record)) and not is_system_file


def _mode(record: ZipInfo) -> int:
    """Return the Unix mode, 0 if there is none."""
    return record.external_attr >> 16


class _Unpacker:
    """Unpacks the files of an archive and counts how many bytes it may still unpack."""

    def __init__(self, archive: BinaryIO, opened: ZipFile, ends: Mapping[int, int], limits: ArchiveLimits) -> None:
        self._archive = archive
        self._opened = opened
        self._ends = ends
        self._limits = limits
        self._bytes_left = min(limits.total_bytes, max(_SMALL_TOTAL, limits.ratio * archive.seek(0, io.SEEK_END)))

    def content(self, record: ZipInfo) -> bytes | VisageError:
        """Return the content of a file, or the error that rejects it."""
        try:
            _reject_unsupported(record)
            return self._read(record)
        except (UnsupportedType, ImageTooLarge, BadArchive) as error:
            # The traceback would keep the unpacked bytes in memory.
            return error.with_traceback(None)
        except (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError):
            return BadArchive(_FILE_DAMAGED)

    def _read(self, record: ZipInfo) -> bytes:
        largest, ratio = self._limits.file_bytes, self._limits.ratio
        content = io.BytesIO()
        with self._opened.open(record) as file:
            # Now the archive is positioned behind the local header, whose length the directory does not have.
            if self._archive.tell() + record.compress_size > self._ends[record.header_offset]:
                raise BadArchive(_FILE_DAMAGED)
            while chunk := file.read(_CHUNK):
                self._count(len(chunk))
                if content.tell() == 0 and chunk.startswith(ZIP_MAGIC):
                    raise UnsupportedType("This is a ZIP inside the ZIP; unpack it first.")
                content.write(chunk)
                if content.tell() > largest:
                    raise ImageTooLarge(f"The file is larger than {largest} bytes; send a smaller copy of the photo.")
                if content.tell() > max(_SMALL_FILE, ratio * record.compress_size):
                    raise ImageTooLarge(f"The file unpacks to more than {ratio} times its packed size.")
        if content.tell() != record.file_size:
            raise BadArchive(_FILE_DAMAGED)
        return content.getvalue()

    def _count(self, amount: int) -> None:
        self._bytes_left -= amount
        if self._bytes_left < 0:
            raise ArchiveTooLarge("The archive is too large when it is unpacked; send its files in several batches.")


def _reject_unsupported(record: ZipInfo) -> None:
    if stat.S_IFMT(_mode(record)) not in (0, stat.S_IFREG):
        raise UnsupportedType("This is a link or a device, not a file; pack the photo itself.")
    if record.flag_bits & _ENCRYPTED:
        raise UnsupportedType("The file is encrypted; pack it without a password.")
    # ZipFile supports bzip2 and LZMA, too.
    if record.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        method = record.compress_type
        raise UnsupportedType(f"Compression method {method} is not accepted; use deflate, which is usual.")
