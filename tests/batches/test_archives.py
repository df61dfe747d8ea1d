"""Reading of valid and hostile ZIP archives, and writing of archives."""

import io
import random
import shutil
import stat
import struct
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest

from tests.support.pictures import mutated
from visage.batches.archives import ArchivedFile, ArchiveLimits, read_archive
from visage.batches.result_archive import write_archive
from visage.errors import ArchiveTooLarge, BadArchive, ImageTooLarge, UnsupportedType, VisageError

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


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_files_are_read_in_order_with_their_content(method: int) -> None:
    assert read(packed(MIXED, method)) == [ArchivedFile(name, content) for name, content in MIXED.items()]


def test_an_empty_archive_has_no_files() -> None:
    assert read(packed({})) == []


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6", NOISE, b"\xff\xd8\xff" + bytes(100)])
def test_data_that_is_no_zip_is_rejected(data: bytes) -> None:
    with pytest.raises(BadArchive, match="not a ZIP"):
        read(data)


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


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_device_is_rejected(kind: int) -> None:
    info = ZipInfo("a.jpg")
    info.external_attr = (kind | 0o644) << 16

    error = only_error(one(info, b"/etc/passwd"))

    assert isinstance(error, UnsupportedType)
    assert "link" in str(error)


@pytest.mark.parametrize("flag", [0x0001, 0x0041, 0x2000])
def test_an_encrypted_file_is_rejected(flag: int) -> None:
    error = only_error(patched(packed({"a.jpg": b"x"}), 6, 8, "<H", flag))

    assert isinstance(error, UnsupportedType)
    assert "without a password" in str(error)


@pytest.mark.parametrize("method", [ZIP_BZIP2, ZIP_LZMA])
def test_other_compression_methods_than_deflate_are_rejected(method: int) -> None:
    error = only_error(packed({"a.jpg": NOISE}, method))

    assert isinstance(error, UnsupportedType)
    assert f"method {method}" in str(error)


@pytest.mark.parametrize("inner", [packed(MIXED), packed({})])
@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_zip_inside_the_zip_is_rejected_under_any_name(inner: bytes, method: int) -> None:
    error = only_error(packed({"a.jpg": inner}, method))

    assert isinstance(error, UnsupportedType)
    assert "unpack it first" in str(error)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_damaged_content_rejects_only_its_file(method: int) -> None:
    archive = bytearray(packed({"a.jpg": NOISE[:50_000], "b.jpg": NOISE, "c.jpg": NOISE[-50_000:]}, method))
    archive[150_000] ^= 1

    a, b, c = read(bytes(archive))

    assert isinstance(b.content, BadArchive)
    assert (a.content, c.content) == (NOISE[:50_000], NOISE[-50_000:])


def test_a_damaged_local_header_rejects_only_its_file() -> None:
    archive = bytearray(packed(MIXED))
    archive[0] ^= 1

    first, *others = read(bytes(archive))

    assert isinstance(first.content, BadArchive)
    assert [file.content for file in others] == list(MIXED.values())[1:]


def test_an_incomplete_deflated_file_is_rejected() -> None:
    content = deflated(NOISE)[:-100]
    file = local_header(b"a.jpg", content, NOISE) + content
    listed = record(b"a.jpg", content, NOISE, start=0)

    assert isinstance(only_error(file + listed + end(1, len(listed), len(file))), BadArchive)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_file_is_read_up_to_the_limit_and_rejected_above_it(method: int) -> None:
    archive = packed({"a.jpg": NOISE}, method)

    (just_right,) = read(archive, replace(LIMITS, file_bytes=len(NOISE)))
    error = only_error(archive, replace(LIMITS, file_bytes=len(NOISE) - 1))

    assert just_right.content == NOISE
    assert isinstance(error, ImageTooLarge)


def test_a_file_that_unpacks_a_thousandfold_is_rejected_early() -> None:
    archive = packed({"a.bmp": bytes(100_000_000)})

    tracemalloc.start()
    error = only_error(archive, replace(LIMITS, file_bytes=2**30))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(error, ImageTooLarge)
    assert peak < 20_000_000


def test_a_small_image_may_unpack_a_thousandfold() -> None:
    assert contents(packed({"a.bmp": bytes(2**20)})) == {"a.bmp": bytes(2**20)}


def test_a_file_that_is_larger_than_stated_is_rejected() -> None:
    archive = patched(packed({"a.jpg": NOISE * 33}), 22, 24, "<L", 10)

    assert isinstance(only_error(archive), BadArchive)


def test_only_the_stated_size_is_read_of_a_larger_file_with_a_forged_checksum() -> None:
    archive = patched(packed({"a.jpg": NOISE * 33}), 22, 24, "<L", 10)

    forged = patched(archive, 14, 16, "<L", zlib.crc32(NOISE[:10]))

    assert contents(forged) == {"a.jpg": NOISE[:10]}


def test_a_forged_size_of_gigabytes_takes_no_memory() -> None:
    archive = patched(packed({"a.jpg": NOISE}), 22, 24, "<L", 2**32 - 2)

    tracemalloc.start()
    error = only_error(archive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(error, BadArchive)
    assert peak < 5_000_000


def test_the_error_of_a_rejected_file_keeps_no_unpacked_bytes() -> None:
    archive = io.BytesIO(packed({f"{number}.jpg": NOISE * 10 for number in range(10)}))

    tracemalloc.start()
    errors = list(read_archive(archive, replace(LIMITS, file_bytes=len(NOISE) * 9)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(errors) == 10
    assert kept < len(NOISE)


def test_too_many_files_are_rejected() -> None:
    with pytest.raises(ArchiveTooLarge, match="at most 2"):
        read(packed(MIXED), replace(LIMITS, files=2))


def test_too_many_bytes_in_total_are_rejected_when_they_are_read() -> None:
    files = read_archive(io.BytesIO(packed(MIXED)), replace(LIMITS, total_bytes=len(NOISE) + 100_000))

    assert next(files).content == NOISE
    with pytest.raises(ArchiveTooLarge):
        next(files)


def test_many_small_files_that_unpack_a_thousandfold_are_rejected() -> None:
    archive = packed({f"{number}.bmp": bytes(2**20) for number in range(100)})

    with pytest.raises(ArchiveTooLarge):
        read(archive)


def test_bytes_of_rejected_files_count() -> None:
    archive = packed({f"{number}.jpg": NOISE for number in range(10)})

    with pytest.raises(ArchiveTooLarge):
        read(archive, replace(LIMITS, file_bytes=200_000, total_bytes=1_500_000))


def test_files_that_share_all_their_bytes_are_rejected() -> None:
    content = deflated(bytes(100_000))
    file = local_header(b"a", content, bytes(100_000)) + content
    listed = record(b"a", content, bytes(100_000), 0) * 1000

    with pytest.raises(BadArchive, match="share bytes"):
        read(file + listed + end(1000, len(listed), len(file)))


def test_a_file_that_contains_the_next_one_is_rejected() -> None:
    content = deflated(NOISE)
    inner = local_header(b"b", content, NOISE) + content
    # An uncompressed block that quotes the header of the next file, as in Fifield's archive.
    head = local_header(b"b", content, NOISE)
    quote = b"\0" + struct.pack("<2H", len(head), len(head) ^ 0xFFFF)
    quoting = local_header(b"a", quote + head + content, head + NOISE) + quote
    listed = record(b"a", quote + head + content, head + NOISE, 0) + record(b"b", content, NOISE, len(quoting))

    with pytest.raises(BadArchive, match="share bytes"):
        read(quoting + inner + listed + end(2, len(listed), len(quoting) + len(inner)))


def test_a_file_whose_extra_field_extends_into_the_next_one_is_rejected() -> None:
    content = deflated(NOISE[:1000])
    header = local_header(b"b", content, NOISE[:1000])
    # Both files have the content of the second. The padding has its length, so the directory looks valid.
    outer = local_header(b"a", content, NOISE[:1000], extra=len(content) + len(header)) + bytes(len(content))
    listed = record(b"a", content, NOISE[:1000], 0) + record(b"b", content, NOISE[:1000], len(outer))
    files = outer + header + content

    first, second = read(files + listed + end(2, len(listed), len(files)))

    assert isinstance(first.content, BadArchive)
    assert second.content == NOISE[:1000]


@pytest.mark.parametrize("end_record", [end(0xFFFF, 46, 0), end_64(2**40, 46, 0), end_64(2**40, 46 * 2**40, 0)])
def test_a_directory_that_states_very_many_files_is_rejected_unread(end_record: bytes) -> None:
    with pytest.raises(ArchiveTooLarge):
        read(bytes(46) + end_record, replace(LIMITS, files=10_000))


def test_a_directory_of_very_many_files_that_states_few_is_rejected_at_once() -> None:
    listed = record(b"a", b"", b"", 0) * 1_000_000
    archive = io.BytesIO(listed + end(1, len(listed), 0))

    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(ArchiveTooLarge):
        read_archive(archive, replace(LIMITS, files=1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1_000_000
    assert time.process_time() - started < 1


def test_a_directory_of_another_length_than_stated_is_rejected() -> None:
    whole = packed(MIXED)
    ending = whole.rindex(b"PK\5\6")

    with pytest.raises(BadArchive):
        read(whole[: ending + 8] + struct.pack("<2H", 4, 4) + whole[ending + 12 :])


def test_a_directory_of_very_many_short_records_is_rejected_before_it_is_parsed() -> None:
    listed = record(b"a", b"", b"", 0) * 100_000
    archive = io.BytesIO(listed + end(1, len(listed), 0))

    tracemalloc.start()
    with pytest.raises(ArchiveTooLarge):
        read_archive(archive, replace(LIMITS, files=1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * len(listed)


def test_an_incomplete_directory_is_rejected() -> None:
    listed = record(b"a", b"", b"", 0)[:-2]

    with pytest.raises(BadArchive):
        read(listed + end(1, len(listed), 0))


@pytest.mark.parametrize("start", [2**32 - 2, 100])
def test_a_file_that_starts_behind_the_files_is_rejected(start: int) -> None:
    content = deflated(NOISE[:20])
    file = local_header(b"a.jpg", content, NOISE[:20]) + content
    listed = record(b"a.jpg", content, NOISE[:20], start)

    with pytest.raises(BadArchive, match="beyond its end"):
        read(file + listed + end(1, len(listed), len(file)))


def test_a_file_that_starts_before_the_archive_is_rejected() -> None:
    whole = packed({"a.jpg": NOISE})
    ending = whole.rindex(b"PK\5\6")

    # The stated offset of the directory is one too large, so all files seem to start one byte too early.
    with pytest.raises(BadArchive):
        read(whole[: ending + 16] + struct.pack("<L", whole.rindex(b"PK\1\2") + 1) + whole[ending + 20 :])


def test_a_name_with_the_flag_of_utf_8_but_invalid_bytes_is_rejected() -> None:
    with pytest.raises(BadArchive):
        read(packed({"ä.jpg": b"x"}).replace("ä".encode(), b"\xff\xff"))


def test_a_zip64_archive_without_its_end_record_is_rejected() -> None:
    whole = end_64(0, 0, 0)
    assert read(whole) == []

    with pytest.raises(BadArchive):
        read(whole.replace(b"PK\6\6", b"PK\0\0"))


def test_a_part_of_a_split_archive_is_rejected() -> None:
    whole = packed(MIXED)
    ending = whole.rindex(b"PK\5\6")

    with pytest.raises(BadArchive, match="join"):
        read(whole[: ending + 4] + struct.pack("<2H", 1, 1) + whole[ending + 8 :])


@pytest.mark.parametrize("tenths", range(10))
def test_an_incomplete_archive_is_rejected(tenths: int) -> None:
    whole = packed(MIXED)

    with pytest.raises(BadArchive):
        read(whole[: len(whole) * tenths // 10])


@pytest.mark.parametrize("tenths", range(10))
def test_an_archive_with_a_missing_byte_is_rejected(tenths: int) -> None:
    whole = packed(MIXED)
    hole = len(whole) * tenths // 10

    with pytest.raises(BadArchive):
        read(whole[:hole] + whole[hole + 1 :])


def test_mutated_archives_raise_only_visage_errors() -> None:
    chance = random.Random(6)
    seeds = [packed({"a.jpg": NOISE[:500], "b.bmp": bytes(5000), "ä.png": NOISE[:99]}, method) for method in (0, 8)]
    seeds.append(streamed([("a.jpg", NOISE[:500]), ("b.csv", b"1,2\n" * 99)]))
    rejected = 0

    for _ in range(2000):
        mutant = mutated(chance, chance.choice(seeds), seeds)
        # The end of an archive has most of its structure, so half of the mutations happen there.
        if chance.random() < 0.5:
            mutant = mutated(chance, mutant[::-1], seeds)[::-1]
        try:
            read(mutant)
        except VisageError:
            rejected += 1

    assert 0 < rejected < 2000


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
