"""Valid archives of every kind are read, with their names, in little memory."""

import io
import struct
import tracemalloc
import zlib
from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest

from tests.batches.archives.support import (
    LIMITS,
    MIXED,
    NOISE,
    contents,
    deflated,
    end,
    end_64,
    local_header,
    one,
    packed,
    patched,
    read,
    record,
    streamed,
)
from visage.batches.archives import ArchivedFile, read_archive


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_files_are_read_in_order_with_their_content(method: int) -> None:
    assert read(packed(MIXED, method)) == [ArchivedFile(name, content) for name, content in MIXED.items()]


def test_an_empty_archive_has_no_files() -> None:
    assert read(packed({})) == []


def test_a_self_extracting_archive_is_read() -> None:
    assert contents(b"MZ" + bytes(1000) + packed(MIXED)) == MIXED


def test_an_archive_written_to_a_stream_is_read() -> None:
    assert contents(streamed(MIXED.items())) == MIXED


def test_an_archive_with_a_comment_is_read() -> None:
    archive = io.BytesIO(packed(MIXED))
    with ZipFile(archive, "a") as target:
        target.comment = bytes(0xFFFF)

    assert contents(archive.getvalue()) == MIXED


def test_a_zip64_archive_is_read() -> None:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as target, target.open("a.jpg", "w", force_zip64=True) as file:
        file.write(NOISE)
    start = archive.getvalue().rindex(b"PK\1\2")
    size = archive.getvalue().rindex(b"PK\5\6") - start

    assert contents(archive.getvalue()[: start + size] + end_64(1, size, start)) == {"a.jpg": NOISE}


def test_sizes_and_offset_in_the_zip64_field_of_a_record_are_read() -> None:
    content = deflated(NOISE)
    file = local_header(b"a.jpg", content, NOISE) + content
    listed = bytearray(record(b"a.jpg", content, NOISE, start=0))
    wide = struct.pack("<2H3Q", 1, 24, len(NOISE), len(content), 0)
    struct.pack_into("<2L", listed, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", listed, 30, len(wide))
    struct.pack_into("<L", listed, 42, 0xFFFFFFFF)

    assert contents(file + listed + wide + end(1, len(listed) + len(wide), len(file))) == {"a.jpg": NOISE}


def test_ten_thousand_files_are_read() -> None:
    files = {f"{number}.jpg": str(number).encode() for number in range(10_000)}

    assert contents(packed(files)) == files


def test_folders_and_system_files_are_skipped() -> None:
    names = ["a/", "a/.DS_Store", "__MACOSX/a/._b.jpg", "a/Thumbs.db", "DESKTOP.INI", "a\\", "a/b.jpg"]

    assert list(contents(packed(dict.fromkeys(names, b"x")))) == ["a/b.jpg"]


def test_skipped_records_do_not_count_as_files() -> None:
    archive = packed({"a/": b"", "a/.DS_Store": b"x", "a/b.jpg": b"x", "__MACOSX/a/._b.jpg": b"x"})

    assert len(read(archive, replace(LIMITS, files=1))) == 1


def test_names_are_safe_and_unique() -> None:
    archive = packed({"../a.jpg": b"1", "/A.jpg": b"2", "C:\\a.jpg": b"3"})

    assert list(contents(archive)) == ["a.jpg", "A (2).jpg", "a (3).jpg"]


def test_a_name_in_utf_8_is_read() -> None:
    assert list(contents(packed({"写真.jpg": b"x"}))) == ["写真.jpg"]


def test_a_name_in_utf_8_is_read_without_its_flag() -> None:
    archive = patched(packed({"ä.jpg": b"x"}), 6, 8, "<H", 0)

    assert list(contents(archive)) == ["ä.jpg"]


def test_a_name_in_cp437_is_read() -> None:
    archive = packed({"?.jpg": b"x"}).replace(b"?.jpg", "ä.jpg".encode("cp437"))

    assert list(contents(archive)) == ["ä.jpg"]


def test_the_unicode_name_of_info_zip_takes_precedence() -> None:
    info = ZipInfo("_.jpg")
    unicode_path = b"\1" + struct.pack("<L", zlib.crc32(b"_.jpg")) + "写.jpg".encode()
    info.extra = struct.pack("<2H", 0x7075, len(unicode_path)) + unicode_path

    assert list(contents(one(info))) == ["写.jpg"]


def test_the_unicode_name_of_info_zip_is_ignored_if_its_checksum_is_wrong() -> None:
    info = ZipInfo("_.jpg")
    info.extra = struct.pack("<2H", 0x7075, 10) + b"\1" + struct.pack("<L", zlib.crc32(b"-.jpg")) + b"b.jpg"

    assert list(contents(one(info))) == ["_.jpg"]


def test_memory_does_not_grow_while_two_hundred_megabytes_are_read() -> None:
    noise = NOISE * 7
    archive = io.BytesIO(packed(dict.fromkeys(map(str, range(100)), noise), ZIP_STORED))

    tracemalloc.start()
    total = sum(len(file.content) for file in read_archive(archive, LIMITS) if isinstance(file.content, bytes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total == 210_000_000
    assert peak < 4 * len(noise)


def test_reading_leaves_the_archive_open_and_tolerates_seeks() -> None:
    archive = io.BytesIO(packed(MIXED))
    files = []

    for file in read_archive(archive, LIMITS):
        files.append(file)
        archive.seek(0)

    assert [file.content for file in files] == list(MIXED.values())
    assert not archive.closed
