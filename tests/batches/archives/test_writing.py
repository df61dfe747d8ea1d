"""Written archives are valid, equal for equal files, and sent while their files are requested."""

import io
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.batches.archives.support import LIMITS, NOISE, read, streamed
from visage.batches.result_archive import write_archive
from visage.errors import BadArchive

RESULT = {"a.jpg": NOISE, "b/写真.png": NOISE[:1000], "empty.jpg": b"", "results.csv": b"file,face\n" * 10_000}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "result.zip"
    path.write_bytes(streamed(RESULT.items()))
    return path


def test_a_written_archive_is_complete(written: Path) -> None:
    with ZipFile(written) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == RESULT


@pytest.mark.parametrize("program", [("unzip", "-t"), ("bsdtar", "-tf"), ("7z", "t")])
def test_a_written_archive_is_read_by(program: tuple[str, str], written: Path) -> None:
    if not shutil.which(program[0]):
        pytest.skip(f"{program[0]} is not installed")

    subprocess.run([*program, str(written)], check=True, capture_output=True)


def test_names_are_written_in_utf_8(written: Path) -> None:
    with ZipFile(written) as archive:
        assert archive.getinfo("b/写真.png").flag_bits & 0x800


def test_images_are_written_unchanged_and_tables_compressed(written: Path) -> None:
    with ZipFile(written) as archive:
        picture, table = archive.getinfo("a.jpg"), archive.getinfo("results.csv")

    assert NOISE[:60_000] in written.read_bytes()
    assert len(NOISE) <= picture.compress_size < len(NOISE) * 1.001
    assert table.compress_size < table.file_size / 10


def test_a_written_archive_can_be_read_as_a_stream(written: Path) -> None:
    stream = io.BytesIO(written.read_bytes())

    for content in RESULT.values():
        header = struct.unpack("<4s5H3L2H", stream.read(30))
        stream.seek(header[-2] + header[-1], io.SEEK_CUR)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        start = stream.tell()
        assert inflate.decompress(stream.read()) == content
        stream.seek(stream.tell() - len(inflate.unused_data))
        assert stream.tell() > start
        assert stream.read(16)[:8] == b"PK\x07\x08" + struct.pack("<L", zlib.crc32(content))


def test_equal_files_make_equal_archives() -> None:
    assert streamed(RESULT.items()) == streamed(RESULT.items())


def test_the_chunks_of_a_content_do_not_change_the_archive() -> None:
    whole = streamed([("a.csv", NOISE)])

    assert b"".join(write_archive([("a.csv", (NOISE[:7], NOISE[7:7], NOISE[7:]))])) == whole


def test_no_chunk_of_an_archive_is_empty() -> None:
    assert all(write_archive([("a.jpg", []), ("b.csv", [b"", b"1", b""])]))


def test_an_archive_without_files_is_valid() -> None:
    assert read(streamed([])) == []


def test_more_files_than_sixteen_bits_can_count_are_written() -> None:
    archive = streamed((f"{number}.jpg", b"") for number in range(66_000))

    with ZipFile(io.BytesIO(archive)) as reader:
        assert len(reader.namelist()) == 66_000
    assert len(read(archive, replace(LIMITS, files=66_000))) == 66_000


def test_tables_are_written_with_zip64() -> None:
    archive = streamed([("a.jpg", NOISE), ("b.csv", NOISE), ("c.JSONL", NOISE)])

    with ZipFile(io.BytesIO(archive)) as reader:
        assert reader.testzip() is None
        assert [info.extract_version for info in reader.infolist()] == [20, 45, 45]


def test_files_are_requested_while_the_archive_is_sent() -> None:
    requested: list[int] = []

    def files() -> Iterator[tuple[str, list[bytes]]]:
        for number in range(3):
            requested.append(number)
            yield f"{number}.jpg", [b"x"]

    archive = write_archive(files())
    next(archive)

    assert requested == [0]


def test_memory_does_not_grow_while_two_hundred_megabytes_are_written() -> None:
    def files() -> Iterator[tuple[str, Iterator[bytes]]]:
        for number in range(10):
            yield f"{number}.jpg", (bytes(100_000) for _ in range(200))

    tracemalloc.start()
    total = sum(map(len, write_archive(files())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > 200_000_000
    assert peak < 2_000_000


def test_an_error_of_a_source_breaks_the_stream() -> None:
    def failing() -> Iterator[bytes]:
        yield NOISE
        raise OSError("gone")

    sent: list[bytes] = []
    with pytest.raises(OSError, match="gone"):
        sent.extend(write_archive([("a.jpg", [NOISE]), ("b.jpg", failing())]))

    assert len(b"".join(sent)) > len(NOISE)
    with pytest.raises(BadArchive):
        read(b"".join(sent))
