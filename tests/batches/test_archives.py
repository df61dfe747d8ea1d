"""ZIP archives, honest and hostile: what is read of them, and what is written."""

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


def only_refusal(archive: bytes, limits: ArchiveLimits = LIMITS) -> VisageError:
    (file,) = read(archive, limits)
    assert isinstance(file.content, VisageError)
    return file.content


def patched(archive: bytes, local: int, listed: int, layout: str, *values: int) -> bytes:
    """An archive of one file with other values at an offset in its local header, and at one in its record."""
    changed = bytearray(archive)
    struct.pack_into(layout, changed, archive.index(b"PK\3\4") + local, *values)
    struct.pack_into(layout, changed, archive.rindex(b"PK\1\2") + listed, *values)
    return bytes(changed)


def local_header(name: bytes, content: bytes, unpacked: bytes, extra: int = 0) -> bytes:
    """What stands before a deflated file, with an extra field of so many bytes announced."""
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
def test_files_come_in_their_order_with_their_content(method: int) -> None:
    assert read(packed(MIXED, method)) == [ArchivedFile(name, content) for name, content in MIXED.items()]


def test_an_empty_archive_has_no_files() -> None:
    assert read(packed({})) == []


@pytest.mark.parametrize("not_one", [b"", b"PK", b"PK\5\6", NOISE, b"\xff\xd8\xff" + bytes(100)])
def test_what_is_not_a_zip_is_refused(not_one: bytes) -> None:
    with pytest.raises(BadArchive, match="not a ZIP"):
        read(not_one)


def test_an_archive_behind_a_program_that_unpacks_it_is_read() -> None:
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


def test_sizes_and_place_in_the_zip64_field_of_a_record_are_read() -> None:
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


def test_directories_and_what_systems_add_are_left_out() -> None:
    names = ["a/", "a/.DS_Store", "__MACOSX/a/._b.jpg", "a/Thumbs.db", "DESKTOP.INI", "a\\", "a/b.jpg"]

    assert list(contents(packed(dict.fromkeys(names, b"x")))) == ["a/b.jpg"]


def test_what_is_left_out_does_not_count_as_a_file() -> None:
    archive = packed({"a/": b"", "a/.DS_Store": b"x", "a/b.jpg": b"x", "__MACOSX/a/._b.jpg": b"x"})

    assert len(read(archive, replace(LIMITS, files=1))) == 1


def test_names_come_safe_and_each_once() -> None:
    archive = packed({"../a.jpg": b"1", "/A.jpg": b"2", "C:\\a.jpg": b"3"})

    assert list(contents(archive)) == ["a.jpg", "A (2).jpg", "a (3).jpg"]


def test_a_name_in_utf_8_is_read() -> None:
    assert list(contents(packed({"写真.jpg": b"x"}))) == ["写真.jpg"]


def test_a_name_in_utf_8_is_read_where_no_flag_says_so() -> None:
    archive = patched(packed({"ä.jpg": b"x"}), 6, 8, "<H", 0)

    assert list(contents(archive)) == ["ä.jpg"]


def test_a_name_in_cp437_is_read() -> None:
    archive = packed({"?.jpg": b"x"}).replace(b"?.jpg", "ä.jpg".encode("cp437"))

    assert list(contents(archive)) == ["ä.jpg"]


def test_info_zips_unicode_name_goes_first() -> None:
    info = ZipInfo("_.jpg")
    unicode_path = b"\1" + struct.pack("<L", zlib.crc32(b"_.jpg")) + "写.jpg".encode()
    info.extra = struct.pack("<2H", 0x7075, len(unicode_path)) + unicode_path

    assert list(contents(one(info))) == ["写.jpg"]


def test_info_zips_unicode_name_of_another_name_does_not_count() -> None:
    info = ZipInfo("_.jpg")
    info.extra = struct.pack("<2H", 0x7075, 10) + b"\1" + struct.pack("<L", zlib.crc32(b"-.jpg")) + b"b.jpg"

    assert list(contents(one(info))) == ["_.jpg"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_link_or_device_is_refused(kind: int) -> None:
    info = ZipInfo("a.jpg")
    info.external_attr = (kind | 0o644) << 16

    refusal = only_refusal(one(info, b"/etc/passwd"))

    assert isinstance(refusal, UnsupportedType)
    assert "link" in str(refusal)


@pytest.mark.parametrize("flag", [0x0001, 0x0041, 0x2000])
def test_an_encrypted_file_is_refused(flag: int) -> None:
    refusal = only_refusal(patched(packed({"a.jpg": b"x"}), 6, 8, "<H", flag))

    assert isinstance(refusal, UnsupportedType)
    assert "without a password" in str(refusal)


@pytest.mark.parametrize("method", [ZIP_BZIP2, ZIP_LZMA])
def test_another_compression_than_deflate_is_refused(method: int) -> None:
    refusal = only_refusal(packed({"a.jpg": NOISE}, method))

    assert isinstance(refusal, UnsupportedType)
    assert f"method {method}" in str(refusal)


@pytest.mark.parametrize("inner", [packed(MIXED), packed({})])
@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_zip_inside_the_zip_is_refused_whatever_its_name(inner: bytes, method: int) -> None:
    refusal = only_refusal(packed({"a.jpg": inner}, method))

    assert isinstance(refusal, UnsupportedType)
    assert "unpack it first" in str(refusal)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_damaged_content_costs_only_its_file(method: int) -> None:
    archive = bytearray(packed({"a.jpg": NOISE[:50_000], "b.jpg": NOISE, "c.jpg": NOISE[-50_000:]}, method))
    archive[150_000] ^= 1

    a, b, c = read(bytes(archive))

    assert isinstance(b.content, BadArchive)
    assert (a.content, c.content) == (NOISE[:50_000], NOISE[-50_000:])


def test_a_damaged_local_header_costs_only_its_file() -> None:
    archive = bytearray(packed(MIXED))
    archive[0] ^= 1

    first, *others = read(bytes(archive))

    assert isinstance(first.content, BadArchive)
    assert [file.content for file in others] == list(MIXED.values())[1:]


def test_a_deflated_file_that_ends_too_early_is_refused() -> None:
    content = deflated(NOISE)[:-100]
    file = local_header(b"a.jpg", content, NOISE) + content
    listed = record(b"a.jpg", content, NOISE, start=0)

    assert isinstance(only_refusal(file + listed + end(1, len(listed), len(file))), BadArchive)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_file_of_as_many_bytes_as_may_be_is_read_and_one_more_is_refused(method: int) -> None:
    archive = packed({"a.jpg": NOISE}, method)

    (just_right,) = read(archive, replace(LIMITS, file_bytes=len(NOISE)))
    refusal = only_refusal(archive, replace(LIMITS, file_bytes=len(NOISE) - 1))

    assert just_right.content == NOISE
    assert isinstance(refusal, ImageTooLarge)


def test_a_file_that_unpacks_a_thousandfold_is_refused_early() -> None:
    archive = packed({"a.bmp": bytes(100_000_000)})

    tracemalloc.start()
    refusal = only_refusal(archive, replace(LIMITS, file_bytes=2**30))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(refusal, ImageTooLarge)
    assert peak < 20_000_000


def test_a_small_picture_may_shrink_a_thousandfold() -> None:
    assert contents(packed({"a.bmp": bytes(2**20)})) == {"a.bmp": bytes(2**20)}


def test_a_file_that_is_larger_than_it_says_is_refused() -> None:
    archive = patched(packed({"a.jpg": NOISE * 33}), 22, 24, "<L", 10)

    assert isinstance(only_refusal(archive), BadArchive)


def test_of_a_file_that_is_larger_than_it_says_with_a_forged_checksum_no_more_is_read_than_it_says() -> None:
    archive = patched(packed({"a.jpg": NOISE * 33}), 22, 24, "<L", 10)

    forged = patched(archive, 14, 16, "<L", zlib.crc32(NOISE[:10]))

    assert contents(forged) == {"a.jpg": NOISE[:10]}


def test_a_file_that_says_it_has_gigabytes_takes_no_memory_for_them() -> None:
    archive = patched(packed({"a.jpg": NOISE}), 22, 24, "<L", 2**32 - 2)

    tracemalloc.start()
    refusal = only_refusal(archive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(refusal, BadArchive)
    assert peak < 5_000_000


def test_a_kept_refusal_keeps_nothing_of_what_was_unpacked() -> None:
    archive = io.BytesIO(packed({f"{number}.jpg": NOISE * 10 for number in range(10)}))

    tracemalloc.start()
    refusals = list(read_archive(archive, replace(LIMITS, file_bytes=len(NOISE) * 9)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(refusals) == 10
    assert kept < len(NOISE)


def test_too_many_files_are_refused() -> None:
    with pytest.raises(ArchiveTooLarge, match="at most 2"):
        read(packed(MIXED), replace(LIMITS, files=2))


def test_too_many_bytes_in_all_are_refused_once_they_were_read() -> None:
    files = read_archive(io.BytesIO(packed(MIXED)), replace(LIMITS, total_bytes=len(NOISE) + 100_000))

    assert next(files).content == NOISE
    with pytest.raises(ArchiveTooLarge):
        next(files)


def test_many_small_files_that_unpack_a_thousandfold_are_refused() -> None:
    archive = packed({f"{number}.bmp": bytes(2**20) for number in range(100)})

    with pytest.raises(ArchiveTooLarge):
        read(archive)


def test_what_was_read_of_refused_files_counts() -> None:
    archive = packed({f"{number}.jpg": NOISE for number in range(10)})

    with pytest.raises(ArchiveTooLarge):
        read(archive, replace(LIMITS, file_bytes=200_000, total_bytes=1_500_000))


def test_files_that_share_all_their_bytes_are_refused() -> None:
    content = deflated(bytes(100_000))
    file = local_header(b"a", content, bytes(100_000)) + content
    listed = record(b"a", content, bytes(100_000), 0) * 1000

    with pytest.raises(BadArchive, match="share bytes"):
        read(file + listed + end(1000, len(listed), len(file)))


def test_a_file_that_holds_the_next_one_is_refused() -> None:
    content = deflated(NOISE)
    inner = local_header(b"b", content, NOISE) + content
    # A block that is not compressed and quotes the header of the next file, as Fifield's archive does.
    head = local_header(b"b", content, NOISE)
    quote = b"\0" + struct.pack("<2H", len(head), len(head) ^ 0xFFFF)
    quoting = local_header(b"a", quote + head + content, head + NOISE) + quote
    listed = record(b"a", quote + head + content, head + NOISE, 0) + record(b"b", content, NOISE, len(quoting))

    with pytest.raises(BadArchive, match="share bytes"):
        read(quoting + inner + listed + end(2, len(listed), len(quoting) + len(inner)))


def test_a_file_whose_extra_field_leads_into_the_next_one_is_refused() -> None:
    content = deflated(NOISE[:1000])
    header = local_header(b"b", content, NOISE[:1000])
    # The content of the first is that of the second: the padding is as long, so that nothing shows in the list.
    outer = local_header(b"a", content, NOISE[:1000], extra=len(content) + len(header)) + bytes(len(content))
    listed = record(b"a", content, NOISE[:1000], 0) + record(b"b", content, NOISE[:1000], len(outer))
    files = outer + header + content

    first, second = read(files + listed + end(2, len(listed), len(files)))

    assert isinstance(first.content, BadArchive)
    assert second.content == NOISE[:1000]


@pytest.mark.parametrize("claim", [end(0xFFFF, 46, 0), end_64(2**40, 46, 0), end_64(2**40, 46 * 2**40, 0)])
def test_a_list_that_claims_very_many_files_is_refused_unread(claim: bytes) -> None:
    with pytest.raises(ArchiveTooLarge):
        read(bytes(46) + claim, replace(LIMITS, files=10_000))


def test_a_list_of_very_many_files_that_claims_few_is_refused_at_once() -> None:
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


def test_a_list_of_other_length_than_it_claims_is_refused() -> None:
    whole = packed(MIXED)
    ending = whole.rindex(b"PK\5\6")

    with pytest.raises(BadArchive):
        read(whole[: ending + 8] + struct.pack("<2H", 4, 4) + whole[ending + 12 :])


def test_a_list_of_very_many_short_records_is_refused_before_they_are_taken_in() -> None:
    listed = record(b"a", b"", b"", 0) * 100_000
    archive = io.BytesIO(listed + end(1, len(listed), 0))

    tracemalloc.start()
    with pytest.raises(ArchiveTooLarge):
        read_archive(archive, replace(LIMITS, files=1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2 * len(listed)


def test_a_list_that_breaks_off_in_a_record_is_refused() -> None:
    listed = record(b"a", b"", b"", 0)[:-2]

    with pytest.raises(BadArchive):
        read(listed + end(1, len(listed), 0))


@pytest.mark.parametrize("start", [2**32 - 2, 100])
def test_a_file_that_starts_beyond_the_files_is_refused(start: int) -> None:
    content = deflated(NOISE[:20])
    file = local_header(b"a.jpg", content, NOISE[:20]) + content
    listed = record(b"a.jpg", content, NOISE[:20], start)

    with pytest.raises(BadArchive, match="beyond its end"):
        read(file + listed + end(1, len(listed), len(file)))


def test_a_file_that_starts_before_the_archive_is_refused() -> None:
    whole = packed({"a.jpg": NOISE})
    ending = whole.rindex(b"PK\5\6")

    # Where the list is said to start, by one byte more: so everything lies one byte before its place.
    with pytest.raises(BadArchive):
        read(whole[: ending + 16] + struct.pack("<L", whole.rindex(b"PK\1\2") + 1) + whole[ending + 20 :])


def test_a_name_that_is_not_the_utf_8_that_it_is_said_to_be_is_refused() -> None:
    with pytest.raises(BadArchive):
        read(packed({"ä.jpg": b"x"}).replace("ä".encode(), b"\xff\xff"))


def test_a_zip64_archive_without_the_end_that_it_names_is_refused() -> None:
    whole = end_64(0, 0, 0)
    assert read(whole) == []

    with pytest.raises(BadArchive):
        read(whole.replace(b"PK\6\6", b"PK\0\0"))


def test_a_part_of_a_split_archive_is_refused() -> None:
    whole = packed(MIXED)
    ending = whole.rindex(b"PK\5\6")

    with pytest.raises(BadArchive, match="join"):
        read(whole[: ending + 4] + struct.pack("<2H", 1, 1) + whole[ending + 8 :])


@pytest.mark.parametrize("tenths", range(10))
def test_an_archive_cut_short_is_refused(tenths: int) -> None:
    whole = packed(MIXED)

    with pytest.raises(BadArchive):
        read(whole[: len(whole) * tenths // 10])


@pytest.mark.parametrize("tenths", range(10))
def test_an_archive_with_a_hole_is_refused(tenths: int) -> None:
    whole = packed(MIXED)
    hole = len(whole) * tenths // 10

    with pytest.raises(BadArchive):
        read(whole[:hole] + whole[hole + 1 :])


def test_mutants_raise_only_our_errors() -> None:
    chance = random.Random(6)
    seeds = [packed({"a.jpg": NOISE[:500], "b.bmp": bytes(5000), "ä.png": NOISE[:99]}, method) for method in (0, 8)]
    seeds.append(streamed([("a.jpg", NOISE[:500]), ("b.csv", b"1,2\n" * 99)]))
    refused = 0

    for _ in range(2000):
        mutant = mutated(chance, chance.choice(seeds), seeds)
        # Most of what matters lies at the end.
        if chance.random() < 0.5:
            mutant = mutated(chance, mutant[::-1], seeds)[::-1]
        try:
            read(mutant)
        except VisageError:
            refused += 1

    assert 0 < refused < 2000


def test_memory_stays_flat_while_two_hundred_megabytes_are_read() -> None:
    noise = NOISE * 7
    archive = io.BytesIO(packed(dict.fromkeys(map(str, range(100)), noise), ZIP_STORED))

    tracemalloc.start()
    total = sum(len(file.content) for file in read_archive(archive, LIMITS) if isinstance(file.content, bytes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total == 210_000_000
    assert peak < 4 * len(noise)


def test_reading_leaves_the_archive_open_and_bears_that_it_is_moved() -> None:
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


def test_a_written_archive_is_whole(written: Path) -> None:
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


def test_pictures_are_written_as_they_are_and_tables_compressed(written: Path) -> None:
    with ZipFile(written) as archive:
        picture, table = archive.getinfo("a.jpg"), archive.getinfo("results.csv")

    assert NOISE[:60_000] in written.read_bytes()
    assert len(NOISE) <= picture.compress_size < len(NOISE) * 1.001
    assert table.compress_size < table.file_size / 10


def test_a_written_archive_can_be_read_as_it_arrives(written: Path) -> None:
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


def test_equal_contents_make_equal_archives_whatever_pieces_they_come_in() -> None:
    whole = streamed([("a.csv", NOISE)])

    assert b"".join(write_archive([("a.csv", (NOISE[:7], NOISE[7:7], NOISE[7:]))])) == whole


def test_no_piece_of_an_archive_is_empty() -> None:
    assert all(write_archive([("a.jpg", []), ("b.csv", [b"", b"1", b""])]))


def test_an_archive_without_files_is_one() -> None:
    assert read(streamed([])) == []


def test_more_files_than_sixteen_bits_count_are_written() -> None:
    archive = streamed((f"{number}.jpg", b"") for number in range(66_000))

    with ZipFile(io.BytesIO(archive)) as reader:
        assert len(reader.namelist()) == 66_000
    assert len(read(archive, replace(LIMITS, files=66_000))) == 66_000


def test_tables_are_written_with_zip64_for_nobody_knows_their_size_before() -> None:
    archive = streamed([("a.jpg", NOISE), ("b.csv", NOISE), ("c.JSONL", NOISE)])

    with ZipFile(io.BytesIO(archive)) as reader:
        assert reader.testzip() is None
        assert [info.extract_version for info in reader.infolist()] == [20, 45, 45]


def test_files_are_asked_for_as_the_archive_is_sent() -> None:
    asked: list[int] = []

    def files() -> Iterator[tuple[str, list[bytes]]]:
        for number in range(3):
            asked.append(number)
            yield f"{number}.jpg", [b"x"]

    archive = write_archive(files())
    next(archive)

    assert asked == [0]


def test_memory_stays_flat_while_two_hundred_megabytes_are_written() -> None:
    def files() -> Iterator[tuple[str, Iterator[bytes]]]:
        for number in range(10):
            yield f"{number}.jpg", (bytes(100_000) for _ in range(200))

    tracemalloc.start()
    total = sum(map(len, write_archive(files())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > 200_000_000
    assert peak < 2_000_000


def test_a_source_that_fails_breaks_the_stream() -> None:
    def failing() -> Iterator[bytes]:
        yield NOISE
        raise OSError("gone")

    sent: list[bytes] = []
    with pytest.raises(OSError, match="gone"):
        sent.extend(write_archive([("a.jpg", [NOISE]), ("b.jpg", failing())]))

    assert len(b"".join(sent)) > len(NOISE)
    with pytest.raises(BadArchive):
        read(b"".join(sent))
