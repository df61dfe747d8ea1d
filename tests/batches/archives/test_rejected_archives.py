"""An archive that is damaged, hostile or too large is rejected as a whole."""

import io
import random
import struct
import time
import tracemalloc
from dataclasses import replace

import pytest

from tests.batches.archives.support import (
    LIMITS,
    MIXED,
    NOISE,
    deflated,
    end,
    end_64,
    local_header,
    packed,
    read,
    record,
    streamed,
)
from tests.support.pictures import mutated
from visage.batches.archives import read_archive
from visage.errors import ArchiveTooLarge, BadArchive, VisageError


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6", NOISE, b"\xff\xd8\xff" + bytes(100)])
def test_data_that_is_no_zip_is_rejected(data: bytes) -> None:
    with pytest.raises(BadArchive, match="not a ZIP"):
        read(data)


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
