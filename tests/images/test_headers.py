"""Image headers of valid, unusual, damaged and hostile files."""

import struct
import time
from random import Random

import numpy as np
import pytest

from tests.support.pictures import (
    AVIF,
    GIF,
    HEIC,
    PDF,
    SVG,
    ZIP,
    animation,
    bmp,
    encode,
    exif,
    gradient,
    greedy_png,
    jpeg_frame,
    jpeg_segment,
    many_scans_jpeg,
    mutated,
    png,
    png_chunk,
    with_exif,
)
from visage.errors import UndecodableImage, UnsupportedType
from visage.images.headers import ImageHeader, read_header

PHOTO = gradient(21, 34)
TRANSPARENT = np.dstack([PHOTO, PHOTO[..., 0]])
BARE_JPEG = b"\xff\xd8" + jpeg_frame(21, 34) + b"\xff\xd9"

SAMPLES = {
    "jpeg": encode(PHOTO, "JPEG"),
    "progressive jpeg": encode(PHOTO, "JPEG", progressive=True),
    "jpeg with exif": encode(PHOTO, "JPEG", exif=b"Exif\0\0" + exif(6)),
    "png": encode(PHOTO, "PNG"),
    "png with alpha and exif": encode(TRANSPARENT, "PNG", exif=exif(6, ">")),
    "palette png": encode(PHOTO, "PNG", "P"),
    "animated png": animation("PNG", PHOTO, PHOTO[::-1]),
    "webp": encode(PHOTO, "WEBP"),
    "webp without loss": encode(TRANSPARENT, "WEBP", lossless=True),
    "webp with alpha and exif": encode(TRANSPARENT, "WEBP", exif=exif(6)),
    "animated webp": animation("WEBP", PHOTO, PHOTO[::-1]),
    "bmp": encode(PHOTO, "BMP"),
}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("jpeg", ImageHeader("JPEG", 34, 21)),
        ("progressive jpeg", ImageHeader("JPEG", 34, 21)),
        ("jpeg with exif", ImageHeader("JPEG", 34, 21, orientation=6)),
        ("png", ImageHeader("PNG", 34, 21)),
        ("png with alpha and exif", ImageHeader("PNG", 34, 21, orientation=6, has_alpha=True)),
        ("palette png", ImageHeader("PNG", 34, 21)),
        ("animated png", ImageHeader("PNG", 34, 21)),
        ("webp", ImageHeader("WebP", 34, 21)),
        ("webp without loss", ImageHeader("WebP", 34, 21, has_alpha=True)),
        ("webp with alpha and exif", ImageHeader("WebP", 34, 21, orientation=6, has_alpha=True)),
        ("animated webp", ImageHeader("WebP", 34, 21, has_alpha=True)),
        ("bmp", ImageHeader("BMP", 34, 21)),
    ],
)
def test_a_header_has_type_size_orientation_and_transparency(name: str, header: ImageHeader) -> None:
    assert read_header(SAMPLES[name]) == header


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (3, 2)), (2, (3, 2)), (4, (3, 2)), (5, (2, 3)), (6, (2, 3)), (8, (2, 3))]
)
def test_the_upright_size_swaps_sides_for_rotated_images(orientation: int, size: tuple[int, int]) -> None:
    assert ImageHeader("JPEG", 3, 2, orientation).upright_size == size


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("GIF", GIF),
        ("TIFF", b"II*\0\x08\0\0\0"),
        ("TIFF", b"MM\0*\0\0\0\x08"),
        ("TIFF", b"II+\0\x08\0\0\0"),
        ("HEIC", HEIC),
        ("HEIC", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic"),
        ("AVIF", AVIF),
        ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("JPEG 2000", b"\xff\x4f\xff\x51\0\x29"),
        ("JPEG XL", b"\xff\x0a\xfa\x7f"),
        ("PDF", PDF),
        ("PDF", b"\r\n" + PDF),
        ("SVG", SVG),
        ("SVG", b'<?xml version="1.0" encoding="UTF-8"?>\n<!-- drawn by hand -->\n' + SVG),
        ("SVG", b"\xef\xbb\xbf\n  " + SVG),
        ("SVG", b"<!DOCTYPE svg>" + SVG),
        ("ZIP", ZIP),
        ("This kind of file", b"just some text"),
        ("This kind of file", b"<!DOCTYPE html><html></html>"),
        ("This kind of file", b"RIFF\x10\0\0\0WAVEfmt "),
        ("This kind of file", b"BM, and no picture at all"),
        ("This kind of file", b"\xff"),
    ],
)
def test_the_error_names_the_rejected_type(name: str, content: bytes) -> None:
    with pytest.raises(UnsupportedType, match=f"^{name} is not accepted; send the photo as JPEG, PNG, WebP or BMP.$"):
        read_header(content)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_in_either_byte_order(orientation: int, order: str) -> None:
    header = read_header(with_exif(BARE_JPEG, exif(orientation, order)))

    assert header.orientation == orientation


@pytest.mark.parametrize(
    "tiff",
    [
        pytest.param(b"", id="empty"),
        pytest.param(exif(0), id="orientation 0"),
        pytest.param(exif(9), id="orientation 9"),
        pytest.param(exif(65535), id="orientation 65535"),
        pytest.param(exif(6, kind=4), id="wrong type"),
        pytest.param(b"XX" + exif(6)[2:], id="unknown byte order"),
        pytest.param(exif(6, directory=0), id="directory that is the header itself"),
        pytest.param(exif(6, directory=2**32 - 1), id="directory out of bounds"),
        pytest.param(exif(6)[:-12], id="cut in the entry"),
        pytest.param(exif(6)[:9], id="cut in the count"),
        pytest.param(exif(6)[:6], id="cut in the header"),
        pytest.param(b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(40), id="more entries than bytes"),
        pytest.param(b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + exif(6)[10:], id="no entries"),
    ],
)
def test_an_invalid_orientation_is_upright(tiff: bytes) -> None:
    assert read_header(with_exif(BARE_JPEG, tiff)) == ImageHeader("JPEG", 34, 21, 1)


def test_the_orientation_may_follow_other_entries() -> None:
    other = struct.pack("<HHII", 0x010F, 2, 4, 0x41414141)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 2) + other + exif(3)[10:]

    assert read_header(with_exif(BARE_JPEG, tiff)).orientation == 3


def test_another_segment_with_the_same_marker_is_no_exif() -> None:
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + exif(6))

    assert read_header(b"\xff\xd8" + xmp + BARE_JPEG[2:]).orientation == 1


def test_fill_bytes_may_precede_a_marker() -> None:
    filled = b"\xff\xd8" + 9 * b"\xff" + jpeg_segment(0xFE, b"hi") + 3 * b"\xff" + BARE_JPEG[2:]

    assert read_header(filled) == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA])
def test_every_kind_of_frame_gives_the_size(marker: int) -> None:
    assert read_header(b"\xff\xd8" + jpeg_frame(21, 34, marker) + b"\xff\xd9") == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_tables_are_not_read_as_frames(marker: int) -> None:
    tables = jpeg_segment(marker, struct.pack(">BHH", 8, 9999, 9999))

    assert read_header(b"\xff\xd8" + tables + BARE_JPEG[2:]) == ImageHeader("JPEG", 34, 21)


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD7, 0xD8])
def test_a_size_cannot_hide_behind_a_marker_without_a_length(marker: int) -> None:
    # Decoders find the large frame. A reader that skips it as the content of a segment finds the small one.
    hidden = jpeg_segment(marker, jpeg_frame(20000, 20000))

    with pytest.raises(UndecodableImage):
        read_header(b"\xff\xd8" + hidden + BARE_JPEG[2:])


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


def test_a_transparent_colour_of_a_png_counts_as_alpha() -> None:
    with_key = png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", bytes(6)))

    assert read_header(with_key).has_alpha


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


def test_empty_chunks_to_the_end_of_a_webp_are_skipped() -> None:
    canvas = struct.pack("<I3s3s", 0, (33).to_bytes(3, "little"), (20).to_bytes(3, "little"))

    header = read_header(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + canvas + bytes(10**6))

    assert header == ImageHeader("WebP", 34, 21)


@pytest.mark.parametrize(
    ("content", "header"),
    [
        pytest.param(bmp(34, -21, 24, 0, b""), ImageHeader("BMP", 34, 21), id="rows from the top"),
        pytest.param(
            b"BM" + bytes(12) + struct.pack("<IHH", 12, 34, 21), ImageHeader("BMP", 34, 21), id="header of OS/2"
        ),
    ],
)
def test_both_kinds_of_bmp_headers_are_read(content: bytes, header: ImageHeader) -> None:
    assert read_header(content) == header


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


def test_a_jpeg_may_have_a_hundred_scans() -> None:
    assert read_header(many_scans_jpeg(100)) == ImageHeader("JPEG", 8, 8)


def test_a_jpeg_with_more_scans_is_rejected() -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101))


@pytest.mark.parametrize("hidden", [b"\xff\xd9", b"\xff\xff\xd9", b"\xff"])
def test_scans_after_a_comment_that_looks_like_the_end_are_counted(hidden: bytes) -> None:
    with pytest.raises(UndecodableImage, match="more than 100 scans"):
        read_header(many_scans_jpeg(101, jpeg_segment(0xFE, hidden)))


def test_bytes_like_scans_in_a_segment_or_after_the_image_do_not_count() -> None:
    many = 1000 * b"\xff\xda"

    assert read_header(many_scans_jpeg(10, jpeg_segment(0xE2, many)) + many) == ImageHeader("JPEG", 8, 8)


@pytest.mark.parametrize(("components", "error"), [(1, "more than 100 scans"), (3, None)])
def test_scans_of_a_baseline_jpeg_count_unless_the_first_has_every_component(
    components: int, error: str | None
) -> None:
    frame = jpeg_segment(0xC0, struct.pack(">BHHB9B", 8, 8, 8, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))
    selectors = bytes(value for component in range(1, components + 1) for value in (component, 0))
    scan = jpeg_segment(0xDA, bytes([components]) + selectors + bytes([0, 63, 0]))
    data = b"\xff\xd8" + frame + 101 * scan + b"\xff\xd9"

    if error:
        with pytest.raises(UndecodableImage, match=error):
            read_header(data)
    else:
        assert read_header(data) == ImageHeader("JPEG", 8, 8)


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


def has_header_or_is_rejected(content: bytes) -> bool:
    try:
        header = read_header(content)
    except (UnsupportedType, UndecodableImage) as error:
        return str(error).endswith(".")
    except Exception:
        return False
    return header.width > 0 and header.height > 0 and 1 <= header.orientation <= 8


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
