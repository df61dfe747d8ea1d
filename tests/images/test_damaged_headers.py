"""Damaged and hostile headers are rejected quickly and with a message."""

import struct
import time
from random import Random

import pytest

from tests.images.headers import BARE_JPEG, SAMPLES
from tests.support.pictures import bmp, greedy_png, jpeg_frame, jpeg_segment, mutated, png, png_chunk
from visage.errors import UndecodableImage, UnsupportedType
from visage.images.headers import read_header


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff\xd8\xff\xe0\0\0", id="segment of length 0"),
        pytest.param(b"\xff\xd8\xff\xe0\0\1", id="segment of length 1"),
        pytest.param(b"\xff\xd8" + 10**6 * b"\xff", id="fill bytes to the end"),
        pytest.param(b"\xff\xd8" + 10**5 * jpeg_segment(0xE0, b""), id="empty segments to the end"),
        pytest.param(b"\xff\xd8\xff\xe0\xff\xff" + bytes(100), id="segment beyond the end"),
        pytest.param(b"\xff\xd8\xff\xe0\0\4ab??", id="no marker where one must be"),
        pytest.param(b"\xff\xd8\xff\xd9", id="end at once"),
        pytest.param(b"\xff\xd8\xff\xda\0\2", id="scan without a frame"),
        pytest.param(b"\xff\xd8\xff\xc0\0\x0b\x08\0", id="cut in the frame"),
        pytest.param(b"\xff\xd8" + jpeg_frame(0, 34), id="no height"),
        pytest.param(b"\xff\xd8" + jpeg_frame(21, 0), id="no width"),
    ],
)
def test_a_jpeg_with_a_damaged_header_is_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read_header(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x89PNG\r\n\x1a\n", id="signature alone"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + png_chunk(b"sRGB", b"\0") + bytes(40), id="another chunk first"),
        pytest.param(png(1, 1, 8, 2, b"")[:30], id="cut in IHDR"),
        pytest.param(png(1, 1, 8, 2, b"")[:33], id="ends after IHDR"),
        pytest.param(png(0, 5, 8, 2, b""), id="no width"),
        pytest.param(png(5, 0, 8, 2, b""), id="no height"),
        pytest.param(greedy_png(b"tEXt"), id="text of 2 GB"),
        pytest.param(greedy_png(b"IDAT"), id="data of 2 GB"),
        pytest.param(png(1, 1, 8, 2, b"")[:33] + 10**5 * png_chunk(b"tEXt", b""), id="empty chunks to the end"),
    ],
)
def test_a_png_with_a_damaged_header_is_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read_header(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"RIFF\0\0\0\0WEBP", id="nothing in it"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0" + bytes(10), id="lossy without its start code"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0" + bytes(10), id="lossless without its signature"),
        pytest.param(b"RIFF\0\0\0\0WEBPEXIF\x0a\0\0\0" + bytes(10), id="begins with EXIF"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0\x2f", id="cut in the size"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\0\0\0\0", id="no pixels"),
    ],
)
def test_a_webp_with_a_damaged_header_is_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read_header(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"BM" + bytes(12) + struct.pack("<II", 40, 34), id="cut in the size"),
        pytest.param(bmp(-34, 21, 24, 0, b""), id="negative width"),
        pytest.param(bmp(0, 21, 24, 0, b""), id="no width"),
        pytest.param(bmp(34, 0, 24, 0, b""), id="no height"),
        pytest.param(b"BM", id="magic bytes alone"),
    ],
)
def test_a_bmp_with_a_damaged_header_is_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read_header(content)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_prefix_has_a_header_or_is_rejected(name: str) -> None:
    whole = SAMPLES[name]

    neither = [length for length in range(len(whole) + 1) if not has_header_or_is_rejected(whole[:length])]

    assert neither == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_mutation_has_a_header_or_is_rejected(name: str) -> None:
    others = list(SAMPLES.values())
    seeds = [f"header of {name}, {number}" for number in range(5000 // len(SAMPLES) + 1)]

    neither = [seed for seed in seeds if not has_header_or_is_rejected(mutated(Random(seed), SAMPLES[name], others))]

    assert neither == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff\xd8" + 10 * 2**20 * b"\xff", id="JPEG of fill bytes"),
        pytest.param(b"\xff\xd8" + 2**21 * jpeg_segment(0xE0, b""), id="JPEG of empty segments"),
        pytest.param(BARE_JPEG + 10 * 2**20 * b"\xff\xd0", id="JPEG of restarts"),
        pytest.param(10 * 2**20 * b" ", id="spaces"),
        pytest.param(b"<?xml" + 10 * 2**20 * b" ", id="XML without an end"),
    ],
)
def test_ten_megabytes_designed_to_be_slow_take_only_seconds(content: bytes) -> None:
    started = time.process_time()

    valid = has_header_or_is_rejected(content)

    assert valid
    assert time.process_time() - started < 5


def has_header_or_is_rejected(content: bytes) -> bool:
    try:
        header = read_header(content)
    except (UnsupportedType, UndecodableImage) as error:
        return str(error).endswith(".")
    except Exception:
        return False
    return header.width > 0 and header.height > 0 and 1 <= header.orientation <= 8
