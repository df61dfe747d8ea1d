"""ZIP archives: what a client sends is read as if it were hostile, what a client gets is streamed.

Nothing is ever written to a disk, least of all under a name that an archive chose. What an archive says of the sizes in
it limits nothing: what is read is counted.
"""

import io
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from visage.batches.archive_list import LOCAL_HEADER, Record, read_list
from visage.batches.names import safe_names
from visage.errors import ArchiveTooLarge, BadArchive, ImageTooLarge, RequestError, UnsupportedType

# Bit 0: encrypted; 6: strongly; 13: the headers as well (APPNOTE 4.4.4).
_ENCRYPTED = 0x2041

_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

# Bytes, in a file and in the whole, up to which no ratio is asked for: drawings in few colours shrink a thousandfold.
_SMALL_FILE = 2**20
_SMALL_WHOLE = 2**26

_PIECE = 2**16

# What is written compressed, and how much: zlib's own default.
_TABLES = (".csv", ".jsonl")
_LEVEL = 6

# Bytes; below the 2 GiB that ZipFile writes without Zip64 by more than uncompressed blocks add, 5 to every 65,535.
_ZIP64_FROM = 2**31 - 2**20

_DAMAGED = "The file is damaged in the archive; pack it again."


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
    content: bytes | RequestError


class _Budget:
    """Bytes that may still be unpacked, of all files together."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise ArchiveTooLarge("The archive holds too much once it is unpacked; send its files in several batches.")


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
    files = [record for record in read_list(archive, limits.files) if record.is_a_file_of_the_sender]
    if len(files) > limits.files:
        raise ArchiveTooLarge(f"The archive holds {len(files)} files; send at most {limits.files} in one.")
    budget = _Budget(min(limits.total_bytes, max(_SMALL_WHOLE, limits.ratio * archive.seek(0, io.SEEK_END))))
    names = safe_names(record.name for record in files)
    return (
        ArchivedFile(name, _content_or_refusal(archive, record, limits, budget))
        for name, record in zip(names, files, strict=True)
    )


def _content_or_refusal(
    archive: BinaryIO, record: Record, limits: ArchiveLimits, budget: _Budget
) -> bytes | RequestError:
    try:
        _refuse_unread(record)
        return _content(archive, record, limits, budget)
    except (UnsupportedType, ImageTooLarge, BadArchive) as refusal:
        # Its traceback would keep what was unpacked as long as somebody keeps the refusal.
        return refusal.with_traceback(None)


def _refuse_unread(record: Record) -> None:
    if stat.S_IFMT(record.mode) not in (0, stat.S_IFREG):
        raise UnsupportedType("This is a link or a device and no file; pack the photo itself.")
    if record.flags & _ENCRYPTED:
        raise UnsupportedType("The file is encrypted; pack it without a password.")
    if record.method not in (ZIP_STORED, ZIP_DEFLATED):
        raise UnsupportedType(f"Compression method {record.method} is not accepted; pack with the usual one, deflate.")


def _content(archive: BinaryIO, record: Record, limits: ArchiveLimits, budget: _Budget) -> bytes:
    ratio_bytes = max(_SMALL_FILE, limits.ratio * record.packed)
    content, crc = io.BytesIO(), 0
    for piece in _pieces(archive, record):
        budget.spend(len(piece))
        if content.tell() == 0 and piece.startswith(_ZIP_MAGIC):
            raise UnsupportedType("This is a ZIP inside the ZIP; unpack it first.")
        content.write(piece)
        crc = zlib.crc32(piece, crc)
        if content.tell() > limits.file_bytes:
            raise ImageTooLarge(f"The file is larger than {limits.file_bytes} bytes; send a smaller copy of the photo.")
        if content.tell() > ratio_bytes:
            raise ImageTooLarge(f"The file unpacks to more than {limits.ratio} times its size, as no photo does.")
    if (content.tell(), crc) != (record.size, record.crc):
        raise BadArchive(_DAMAGED)
    return content.getvalue()


def _pieces(archive: BinaryIO, record: Record) -> Iterator[bytes]:
    """Unpack a file, at most 64 KiB at a time."""
    archive.seek(record.start)
    header = archive.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise BadArchive(_DAMAGED)
    name_length, extra_length = LOCAL_HEADER.unpack(header)[-2:]
    start = record.start + LOCAL_HEADER.size + name_length + extra_length
    if start + record.packed > record.end:
        raise BadArchive(_DAMAGED)
    archive.seek(start)
    packed = _read(archive, record.packed)
    return packed if record.method == ZIP_STORED else _inflated(packed)


def _read(archive: BinaryIO, amount: int) -> Iterator[bytes]:
    while amount and (piece := archive.read(min(amount, _PIECE))):
        amount -= len(piece)
        yield piece


def _inflated(packed: Iterator[bytes]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflate.eof:
        waiting = inflate.unconsumed_tail or next(packed, b"")
        try:
            piece = inflate.decompress(waiting, _PIECE)
        except zlib.error:
            raise BadArchive(_DAMAGED) from None
        if not piece and not waiting:
            raise BadArchive(_DAMAGED)
        yield piece


class _Outbox:
    """What ZipFile writes to: no more than is not sent yet."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._waiting.append(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> Iterator[bytes]:
        """Nothing rather than an empty piece, which would end a chunked answer."""
        waiting, self._waiting = b"".join(self._waiting), []
        if waiting:
            yield waiting


def write_archive(files: Iterable[tuple[str, bytes | Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a ZIP of `files`, pairs of a name and its content, as they come.

    Names are written as they are, in UTF-8: `safe_names` makes them safe and each only once. Tables (.csv, .jsonl) are
    compressed, pictures are not. Every file has the same time, so that equal files make equal archives.

    Of a content no more is kept than the piece that it came in. One in pieces may have 2 GiB, for how its size is
    written must be known before; one that is bytes, and the whole, may have any size. If `files` or a content raises,
    so does this, and what was sent lacks the end without which no program takes it for an archive.
    """
    outbox = _Outbox()
    with ZipFile(outbox, "w", ZIP_DEFLATED) as archive:
        for name, content in files:
            # Deflate's level 0 leaves pictures as they are. Stored would do so too, but programs that read an archive
            # as it arrives refuse a stored file whose size is not written before it.
            archive.compresslevel = _LEVEL if name.lower().endswith(_TABLES) else 0
            known_bytes, pieces = (len(content), _cut(content)) if isinstance(content, bytes) else (0, content)
            with archive.open(name, "w", force_zip64=known_bytes > _ZIP64_FROM) as entry:
                for piece in pieces:
                    entry.write(piece)
                    yield from outbox.take()
            yield from outbox.take()
    yield from outbox.take()


def _cut(content: bytes) -> Iterator[bytes]:
    return (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
