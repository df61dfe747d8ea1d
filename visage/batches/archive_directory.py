"""Find the central directory of a ZIP from a client, and keep the memory for directories within a budget.

ZipFile loads the whole directory, which may have millions of records, before it tells their number. So the directory
is measured first.
"""

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from visage.errors import ArchiveTooLarge, BadArchive

DAMAGED = "The archive is damaged or incomplete; send it again."

# The records at the end of an archive, without and with Zip64 (PKWARE, "APPNOTE" 6.3.10, sections 4.3.16, 4.3.14 and
# the length of 4.3.15).
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64_BYTES = 20
_MAX_COMMENT_BYTES = 0xFFFF

_RECORD_MAGIC = b"PK\1\2"

# Bytes that are searched at once.
_PIECE_BYTES = 2**16

# The central directory may have this many records per allowed file, and this many more, for folders and system files.
_RECORDS_PER_FILE, _MORE_RECORDS = 4, 1000

# It may have this many bytes per allowed file, and this many more. macOS lists each file twice; a record has 46 bytes,
# a path and some 30 bytes of times and owners.
_BYTES_PER_FILE, _MORE_BYTES = 512, 2**20

# The most memory that ZipFile and the names take while an archive is read, in bytes: for each record, and for each byte
# of the directory. With one emoji, Python keeps 4 bytes for each character of a name.
_MEMORY_PER_RECORD, _MEMORY_PER_BYTE = 500, 8


@dataclass(frozen=True)
class Directory:
    """The central directory of an archive.

    `start` is its offset in bytes, and `stated_records` the number of records that the archive states. `memory` is the
    most memory that reading takes, in bytes.
    """

    start: int
    stated_records: int
    memory: int


class MemoryBudget:
    """Lets callers hold memory as long as all of them hold at most `limit` bytes; others wait for their turn."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, amount: int) -> Iterator[None]:
        """Hold `amount` bytes. A caller that needs more than the limit waits until it is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + amount <= self.limit)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()


# Memory for the directories of all archives that this process reads at the same time, in bytes. The longest that 10,000
# files may have takes 70 MB, one of 1,000 photos about 1.5 MB.
DIRECTORY_BUDGET = MemoryBudget(80_000_000)

# Memory for the files of all batches that this process unpacks or stores at the same time, in bytes: two of the largest
# by default, or dozens of ordinary photos.
FILE_BUDGET = MemoryBudget(2**27)


def find_directory(archive: BinaryIO, files: int) -> Directory:
    """Find the directory of an archive of at most `files` files, at its end, as ZipFile does.

    Raises:
        BadArchive: not a ZIP, incomplete, or one part of several.
        ArchiveTooLarge: it lists too many files, or too long names.
    """
    size = archive.seek(0, io.SEEK_END)
    tail_start = archive.seek(max(0, size - _END.size - _MAX_COMMENT_BYTES - _LOCATOR_64_BYTES - _END_64.size))
    tail = archive.read()
    end = tail.rfind(b"PK\5\6", 0, -_END.size + 4)
    if end < 0:
        raise BadArchive("This is not a ZIP archive, or it is incomplete; send the original file.")
    _, disk, disk_of_directory, _, count, directory_bytes, offset, _ = _END.unpack_from(tail, end)
    if tail.startswith(b"PK\6\7", end - _LOCATOR_64_BYTES):
        end -= _LOCATOR_64_BYTES + _END_64.size
        if end < 0 or not tail.startswith(b"PK\6\6", end):
            raise BadArchive(DAMAGED)
        _, _, _, _, disk, disk_of_directory, _, count, directory_bytes, offset = _END_64.unpack_from(tail, end)
    if disk or disk_of_directory:
        raise BadArchive("The archive is one part of several; join them, or pack the files into one.")
    max_records = _RECORDS_PER_FILE * files + _MORE_RECORDS
    too_many = ArchiveTooLarge(f"The archive lists too many files; send at most {files} in one.")
    if count > max_records:
        raise too_many
    if directory_bytes > _BYTES_PER_FILE * files + _MORE_BYTES:
        raise ArchiveTooLarge(
            f"The list of files in the archive is too long; send at most {files}, with shorter names."
        )
    directory_start = tail_start + end - directory_bytes
    if offset > directory_start:
        raise BadArchive(DAMAGED)
    # The stated number can be forged.
    records = _count_records(archive, directory_start, directory_bytes)
    if records > max_records:
        raise too_many
    memory = _MEMORY_PER_RECORD * records + _MEMORY_PER_BYTE * directory_bytes
    return Directory(directory_start, count, memory)


def _count_records(archive: BinaryIO, start: int, length: int) -> int:
    """Count the signatures of records in `length` bytes from `start` on, a piece at a time."""
    archive.seek(start)
    count, end_of_last = 0, b""
    while length > 0 and (piece := archive.read(min(length, _PIECE_BYTES))):
        length -= len(piece)
        piece = end_of_last + piece
        count += piece.count(_RECORD_MAGIC)
        end_of_last = piece[1 - len(_RECORD_MAGIC) :]
    return count
