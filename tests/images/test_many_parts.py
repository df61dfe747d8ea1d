"""A file of very many parts is rejected in a moment; one with as many as real files have takes no memory for each."""

import struct
import time
import zlib
from collections.abc import Iterator

import pytest

from tests.images.photos import LIMIT, PHOTO, assert_alike, read
from tests.support.memory import traced
from tests.support.pictures import encode, exif, gradient, jpeg_segment, png, png_chunk
from visage.errors import UndecodableImage
from visage.images.colour import find_profile
from visage.images.decoding import decode, inspect
from visage.images.headers import read_header
from visage.images.png import essential_png
from visage.images.webp import first_frame

ROWS = bytes(8 * 25)
NOTHING_MORE = png(8, 8, 8, 2, ROWS)
PROFILE_OF_5_MB = bytes(5_000_000)


@pytest.fixture
def only_seconds() -> Iterator[None]:
    """The test takes at most three seconds of the processor."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 3


def webp(*chunks: bytes, flags: int = 0x08) -> bytes:
    """An extended WebP of 34 x 21 pixels with these chunks behind its header; `flags` say that EXIF is there."""
    canvas = struct.pack("<I3s3s", flags, (33).to_bytes(3, "little"), (20).to_bytes(3, "little"))
    content = b"WEBP" + webp_chunk(b"VP8X", canvas) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def webp_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def progressive(between: bytes) -> bytes:
    """A progressive JPEG with these segments before its second scan."""
    whole = encode(PHOTO, "JPEG", progressive=True)
    at = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)
    return whole[:at] + between + whole[at:]


@pytest.mark.usefixtures("only_seconds")
@pytest.mark.parametrize(
    ("data", "parts"),
    [
        pytest.param(NOTHING_MORE[:33] + 10**6 * png_chunk(b"tEXt", b"") + NOTHING_MORE[33:], "chunks", id="PNG"),
        pytest.param(webp(10**6 * webp_chunk(b"ANMF", b"")), "chunks", id="WebP"),
        pytest.param(
            progressive(10**6 * jpeg_segment(0xE0, b"") + 101 * b"\xff\xda\0\2"), "segments", id="JPEG behind a scan"
        ),
    ],
)
def test_an_image_of_a_million_empty_parts_is_rejected_by_its_header(data: bytes, parts: str) -> None:
    with pytest.raises(UndecodableImage, match=f"too many {parts}"):
        inspect(data, LIMIT)


@pytest.mark.usefixtures("only_seconds")
def test_a_png_of_a_million_empty_chunks_of_pixels_is_rejected_without_memory_for_each() -> None:
    data = NOTHING_MORE[:33] + 10**6 * png_chunk(b"IDAT", b"") + NOTHING_MORE[33:]
    header = inspect(data, LIMIT)

    with traced() as peak, pytest.raises(UndecodableImage, match="too many chunks"):
        decode(data, header)

    assert peak() < 1_000_000


@pytest.mark.usefixtures("only_seconds")
def test_a_frame_of_a_million_empty_chunks_is_rejected() -> None:
    data = webp(webp_chunk(b"ANMF", bytes(16) + 10**6 * webp_chunk(b"ALPH", b"")), flags=0x02)

    with pytest.raises(UndecodableImage, match="too many chunks"):
        first_frame(data)


def test_a_png_of_50_000_chunks_is_read_without_memory_for_each() -> None:
    coded = zlib.compress(ROWS)
    chunks = b"".join(png_chunk(b"IDAT", coded[at : at + 1]) for at in range(50_000))
    data = NOTHING_MORE[:33] + chunks + NOTHING_MORE[-12:]

    with traced() as peak:
        essential = essential_png(data)

    assert essential == data
    assert peak() < len(data) + 10_000
    assert read(data).pixels.shape == (8, 8, 3)


def test_only_essential_chunks_of_a_png_are_kept() -> None:
    text, pixels = png_chunk(b"tEXt", b"?"), NOTHING_MORE[33:-12]
    head, end = NOTHING_MORE[:33], NOTHING_MORE[-12:]

    assert essential_png(head + text + text + pixels + text + end) == NOTHING_MORE


def test_exif_is_found_behind_the_50_000_frames_of_an_animation() -> None:
    data = webp(50_000 * webp_chunk(b"ANMF", b""), webp_chunk(b"EXIF", exif(6)))

    assert read_header(data).orientation == 6


def test_a_megabyte_of_zeros_behind_a_webp_is_ignored() -> None:
    data = webp(webp_chunk(b"EXIF", exif(6)))

    assert read_header(data + bytes(2**20)).orientation == 6
    assert read_header(webp() + bytes(2**20)).orientation == 1


def test_a_jpeg_with_segments_before_every_scan_is_read() -> None:
    data = progressive(500 * jpeg_segment(0xFE, b"comment"))

    assert_alike(read(data).pixels, read(encode(PHOTO, "JPEG", progressive=True)).pixels, 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(NOTHING_MORE[:33] + png_chunk(b"iCCP", b"P\0\0" + PROFILE_OF_5_MB) + NOTHING_MORE[33:], id="PNG"),
        pytest.param(
            encode(gradient(8, 8), "JPEG", icc_profile=PROFILE_OF_5_MB, quality=90),
            id="JPEG",
        ),
        pytest.param(webp(webp_chunk(b"ICCP", PROFILE_OF_5_MB), flags=0x20), id="WebP"),
    ],
)
def test_a_profile_that_is_too_long_is_not_copied(data: bytes) -> None:
    header = read_header(data)

    with traced() as peak:
        assert find_profile(data, header.format) is None

    assert peak() < 100_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            NOTHING_MORE[:33] + png_chunk(b"eXIf", exif(6) + bytes(5_000_000)) + NOTHING_MORE[33:],
            id="PNG",
        ),
        pytest.param(webp(webp_chunk(b"EXIF", b"Exif\0\0" + exif(6) + bytes(5_000_000))), id="WebP"),
    ],
)
def test_long_exif_is_not_copied(data: bytes) -> None:
    with traced() as peak:
        assert read_header(data).orientation == 6

    assert peak() < 100_000
