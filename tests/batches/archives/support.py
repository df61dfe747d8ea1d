"""Builders of valid and hostile archives, and short functions to read them."""

import io
import random
import struct
import zlib
from collections.abc import Iterable, Mapping
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from visage.batches.archives import ArchivedFile, ArchiveLimits, read_archive
from visage.batches.result_archive import write_archive
from visage.errors import VisageError

LIMITS = ArchiveLimits(files=20_000, file_bytes=2**24, total_bytes=2**28)
NOISE = random.Random(1).randbytes(300_000)
MIXED = {"a.jpg": NOISE, "b/c.bmp": bytes(200_000), "d.png": NOISE[:1000] * 50}


def packed(files: Mapping[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with ZipFile(archive, "w", method) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return archive.getvalue()


def one(info: ZipInfo, content: bytes = b"content") -> bytes:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as target:
        target.writestr(info, content)
    return archive.getvalue()


def read(archive: bytes, limits: ArchiveLimits = LIMITS) -> list[ArchivedFile]:
    return list(read_archive(io.BytesIO(archive), limits))


def streamed(files: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(write_archive((name, [content]) for name, content in files))


def contents(archive: bytes) -> dict[str, bytes | VisageError]:
    return {file.name: file.content for file in read(archive)}


def only_error(archive: bytes, limits: ArchiveLimits = LIMITS) -> VisageError:
    (file,) = read(archive, limits)
    assert isinstance(file.content, VisageError)
    return file.content


def patched(archive: bytes, local: int, listed: int, layout: str, *values: int) -> bytes:
    """Return an archive of one file with `values` at an offset in its local header and at another one in its record."""
    changed = bytearray(archive)
    struct.pack_into(layout, changed, archive.index(b"PK\3\4") + local, *values)
    struct.pack_into(layout, changed, archive.rindex(b"PK\1\2") + listed, *values)
    return bytes(changed)


def local_header(name: bytes, content: bytes, unpacked: bytes, extra: int = 0) -> bytes:
    """Return the local header of a deflated file; it states an extra field of `extra` bytes."""
    crc = zlib.crc32(unpacked)
    sizes = (crc, len(content), len(unpacked), len(name), extra)
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, ZIP_DEFLATED, 0, 0, *sizes) + name


def record(name: bytes, content: bytes, unpacked: bytes, start: int) -> bytes:
    sizes = (zlib.crc32(unpacked), len(content), len(unpacked), len(name))
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, ZIP_DEFLATED, 0, 0, *sizes, 0, 0, 0, 0, 0, start) + name


def end(files: int, size: int, start: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, files, files, size, start, 0)


def end_64(files: int, size: int, start: int) -> bytes:
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, files, files, size, start)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1) + end(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def deflated(content: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(content) + deflate.flush()
