"""A file that is damaged, forged, too large or of another type is rejected, and the others are read."""

import io
import stat
import tracemalloc
import zlib
from dataclasses import replace
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipInfo

import pytest

from tests.batches.archives.support import (
    LIMITS,
    MIXED,
    NOISE,
    contents,
    deflated,
    end,
    local_header,
    one,
    only_error,
    packed,
    patched,
    read,
    record,
)
from visage.batches.archives import read_archive
from visage.errors import BadArchive, ImageTooLarge, UnsupportedType


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
