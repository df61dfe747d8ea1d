"""TIFFs of common kinds are decoded to their colours; rare and damaged ones are rejected by name."""

import io
import sys
import time
import zlib
from contextlib import suppress
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.images.photos import GREY, LIMIT, PHOTO, TRANSPARENT, assert_alike, on_white, read
from tests.support.memory import traced
from tests.support.pictures import Pixels, as_stored, encode, exif, gradient
from tests.support.tiff import (
    BITS,
    COLOURS,
    COMPRESSION,
    EXTRA,
    FILL_ORDER,
    FORMAT,
    HEIGHT,
    ORIENTATION,
    PHOTOMETRIC,
    PLANES,
    PREDICTOR,
    ROWS,
    SAMPLES,
    STRIP_BYTES,
    STRIPS,
    SUBFILE,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    tiff,
    tiff_of,
)
from visage.errors import ImageTooLarge, UndecodableImage, UnsupportedType
from visage.images.decoding import inspect
from visage.images.headers import ImageHeader, is_image, read_header

RGB = PHOTO[..., ::-1]
RGBA = TRANSPARENT[..., [2, 1, 0, 3]]
DEEP = RGB.astype(np.uint16) * 257
GREY_ON_WHITE = cv2.cvtColor(GREY, cv2.COLOR_GRAY2BGR)
PREMULTIPLIED = np.dstack([(RGBA[..., :3].astype(int) * RGBA[..., 3:] + 127) // 255, RGBA[..., 3]]).astype(np.uint8)
# Inks of ideal colours.
CMYK = np.dstack([255 - RGB, np.zeros_like(GREY)])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "layout",
    [
        pytest.param({}, id="one strip"),
        pytest.param({"rows": 7}, id="strips"),
        pytest.param({"rows": 7, "deflated": True}, id="compressed strips"),
        pytest.param({"tile": (32, 16)}, id="tiles"),
        pytest.param({"tile": (32, 16), "deflated": True}, id="compressed tiles"),
        pytest.param({"rows": 7, "planar": True}, id="raw planes"),
        pytest.param({"rows": 7, "planar": True, "deflated": True}, id="planes"),
        pytest.param({"tile": (16, 48), "planar": True, "deflated": True}, id="planes of tiles"),
    ],
)
@pytest.mark.parametrize(
    ("stored", "photometric", "expected", "tolerance"),
    [
        pytest.param(RGB, 2, PHOTO, 0, id="RGB"),
        pytest.param(DEEP, 2, PHOTO, 0, id="16-bit RGB"),
        pytest.param(GREY, 1, GREY_ON_WHITE, 0, id="grey"),
        pytest.param(GREY.astype(np.uint16) * 257, 1, GREY_ON_WHITE, 0, id="16-bit grey"),
        pytest.param(255 - GREY, 0, GREY_ON_WHITE, 0, id="grey, white is 0"),
        pytest.param((255 - GREY).astype(np.uint16) * 257, 0, GREY_ON_WHITE, 0, id="16-bit grey, white is 0"),
        pytest.param(CMYK, 5, PHOTO, 1, id="CMYK"),
        pytest.param(CMYK.astype(np.uint16) * 257, 5, PHOTO, 1, id="16-bit CMYK"),
    ],
)
def test_colours_are_read(
    stored: Any, photometric: int, expected: Pixels, tolerance: int, layout: dict[str, Any], order: str
) -> None:
    assert_alike(read(tiff_of(stored, photometric, order, **layout)).pixels, expected, tolerance)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rows": 7, "planar": True, "deflated": True}], ids=["raw", "planes"])
@pytest.mark.parametrize(
    ("stored", "photometric", "extra", "expected"),
    [
        pytest.param(RGBA, 2, {EXTRA: 2}, on_white(TRANSPARENT), id="RGBA"),
        pytest.param(RGBA, 2, {}, on_white(TRANSPARENT), id="four channels without a meaning"),
        pytest.param(RGBA.astype(np.uint16) * 257, 2, {EXTRA: 2}, on_white(TRANSPARENT), id="16-bit RGBA"),
        pytest.param(RGBA, 2, {EXTRA: 0}, PHOTO, id="a fourth channel to ignore"),
        pytest.param(PREMULTIPLIED, 2, {EXTRA: 1}, on_white(TRANSPARENT), id="premultiplied RGBA"),
    ],
)
def test_transparent_pixels_become_white(
    stored: Any, photometric: int, extra: dict[int, int], expected: Pixels, layout: dict[str, Any], order: str
) -> None:
    assert_alike(read(tiff_of(stored, photometric, order, more=extra, **layout)).pixels, expected, 2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_transparent_grey_becomes_white(order: str) -> None:
    data = tiff_of(np.dstack([GREY, TRANSPARENT[..., 3]]), 1, order, more={EXTRA: 2})

    assert_alike(read(data).pixels, on_white(np.dstack([GREY_ON_WHITE, TRANSPARENT[..., 3]])), 2)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressions_without_loss_are_read(compression: str, predictor: int) -> None:
    options = {317: predictor} if compression in ("tiff_lzw", "tiff_adobe_deflate") else {}

    assert_alike(read(encode(PHOTO, "TIFF", compression=compression, tiffinfo=options)).pixels, PHOTO, 0)


@pytest.mark.parametrize("mode", ["1", "P"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
def test_bits_and_palettes_are_read(mode: str, compression: str) -> None:
    plain = read(encode(PHOTO, "PNG", mode)).pixels

    assert_alike(read(encode(PHOTO, "TIFF", mode, compression=compression)).pixels, plain, 0)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("is_palette", [False, True])
def test_few_bits_are_read(bits: int, is_palette: bool) -> None:
    levels = 2**bits
    values = (np.arange(16)[None] % levels).astype(np.uint8)
    unpacked = np.unpackbits(values.reshape(-1, 1), axis=1)[:, 8 - bits :]
    more: dict[int, Any] = {WIDTH: 16, HEIGHT: 1, BITS: bits, PHOTOMETRIC: 3 if is_palette else 1, ROWS: 1}
    if is_palette:
        more[COLOURS] = [257 * (level * 85 % 256) for level in range(levels)] * 3

    pixels = read(tiff([np.packbits(unpacked).tobytes()], more)).pixels

    expected = values * 85 if is_palette else values.astype(int) * 255 // (levels - 1)
    assert pixels[0, :, 1].tolist() == expected[0].tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_tag_says(orientation: int, order: str) -> None:
    stored = as_stored(PHOTO, orientation)[..., ::-1]

    photo = read(tiff_of(stored, 2, order, rows=9, deflated=True, more={ORIENTATION: orientation}))

    assert (photo.width, photo.height) == (83, 61)
    assert_alike(photo.pixels, PHOTO, 0)


def test_the_first_page_is_read() -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(np.ascontiguousarray(each)) for each in (RGB, RGB[::-1], RGB[:9])]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")

    assert_alike(read(file.getvalue()).pixels, PHOTO, 0)


def test_a_header_has_size_orientation_and_transparency() -> None:
    header = ImageHeader("TIFF", 83, 61, 6, bytes_per_pixel=15, coded_pixels=83 * 61)

    assert read_header(tiff_of(RGB, 2, more={ORIENTATION: 6})) == header
    assert read_header(tiff_of(RGBA, 2, more={EXTRA: 2})).has_alpha
    assert read_header(tiff_of(RGB, 2, tile=(64, 64))).coded_pixels == 128 * 64


def changed(**tags: Any) -> bytes:
    numbers = {"bits": BITS, "compression": COMPRESSION, "photometric": PHOTOMETRIC, "samples": SAMPLES}
    numbers |= {"order": FILL_ORDER, "extra": EXTRA, "form": FORMAT, "subfile": SUBFILE, "predictor": PREDICTOR}
    return tiff_of(RGB, 2, more={numbers[name]: value for name, value in tags.items()})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"II+\0\x08\0\0\0", "A BigTIFF is not accepted", id="BigTIFF"),
        pytest.param(changed(compression=7), "with JPEG compression is", id="JPEG"),
        pytest.param(changed(compression=6), "with JPEG compression is", id="old JPEG"),
        pytest.param(changed(compression=4), "with fax compression is", id="fax"),
        pytest.param(changed(compression=999), "with compression 999 is", id="unknown compression"),
        pytest.param(changed(photometric=6), "with YCbCr colours is", id="YCbCr"),
        pytest.param(changed(photometric=8), "with Lab colours is", id="Lab"),
        pytest.param(changed(photometric=99), "with colours of the kind 99 is", id="unknown colours"),
        pytest.param(changed(bits=[32, 32, 32]), "with 32 bits per channel", id="32 bits"),
        pytest.param(changed(bits=[8, 8, 16]), "with mixed bits per channel", id="mixed bits"),
        pytest.param(changed(form=[3, 3, 3]), "with signed numbers or fractions", id="fractions"),
        pytest.param(changed(samples=2), "with 2 channels", id="two channels"),
        pytest.param(changed(samples=6, extra=[0, 0, 0], bits=[8] * 6), "with 6 channels", id="six channels"),
        pytest.param(changed(samples=4, extra=999, bits=[8] * 4), "with 4 channels", id="unknown channel"),
        pytest.param(
            tiff_of(RGBA[..., :2], 1, planar=True, more={EXTRA: 2}), "with grey and transparency apart", id="planes"
        ),
        pytest.param(changed(order=2), "with reversed bits", id="reversed bits"),
        pytest.param(changed(predictor=3), "with the predictor 3", id="predictor"),
        pytest.param(changed(subfile=1), "A raw file of a camera is not accepted", id="thumbnail"),
        pytest.param(tiff_of(RGB, 2, more={50706: b"\1\4\0\0"}), "A raw file of a camera is not accepted", id="DNG"),
        pytest.param(changed(photometric=32803), "A raw file of a camera is not accepted", id="filters"),
    ],
)
def test_rare_kinds_are_rejected_by_name(data: bytes, sentence: str) -> None:
    with pytest.raises(UnsupportedType, match=sentence):
        read_header(data)
    assert is_image(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"II*\0\x08\0\0\0", id="no directory"),
        pytest.param(b"II*\0\x08\0\0\0\xff\xff", id="a directory that is too long"),
        pytest.param(b"II*\0\xff\xff\xff\xff", id="a directory outside"),
        pytest.param(tiff_of(RGB, 2, more={WIDTH: 0}), id="no width"),
        pytest.param(tiff_of(RGB, 2, more={HEIGHT: 0}), id="no height"),
        pytest.param(tiff_of(RGB, 2, more={WIDTH: 84}), id="rows that are too short"),
        pytest.param(tiff_of(RGB, 2, more={HEIGHT: 62}), id="a row too few"),
        pytest.param(tiff_of(RGB, 2, more={ROWS: 0}), id="strips without rows"),
        pytest.param(tiff_of(RGB, 2, more={ROWS: 1}), id="too few strips"),
        pytest.param(tiff_of(RGB, 2, more={STRIPS: 10**6}), id="a strip outside"),
        pytest.param(tiff_of(RGB, 2, more={STRIP_BYTES: 10**6}), id="a strip that is too long"),
        pytest.param(tiff_of(RGB, 2, more={STRIP_BYTES: 9}), id="a strip that is too short"),
        pytest.param(tiff_of(RGB, 2, deflated=True, more={STRIP_BYTES: 9}), id="a compressed strip that is cut"),
        pytest.param(tiff_of(RGB, 2, rows=1, more={STRIPS: [8] * 61, STRIP_BYTES: [9999] * 61}), id="overlap"),
        pytest.param(tiff_of(RGB, 2, tile=(16, 16), more={TILE_WIDTH: 17}), id="odd tiles"),
        pytest.param(tiff_of(RGB, 2, tile=(16, 16), more={TILE_HEIGHT: 0}), id="flat tiles"),
        pytest.param(tiff_of(RGB, 2, more={284: 3}), id="unknown planes"),
        pytest.param(tiff_of(GREY, 3), id="no palette"),
        pytest.param(tiff_of(GREY, 3, more={COLOURS: [1, 2, 3]}), id="a short palette"),
        pytest.param(tiff([b"damaged!"], {WIDTH: 83, HEIGHT: 61, BITS: 8, COMPRESSION: 5, PHOTOMETRIC: 1}), id="LZW"),
        pytest.param(
            tiff([zlib.compress(bytes(83))], {WIDTH: 83, HEIGHT: 61, BITS: 8, COMPRESSION: 8, PHOTOMETRIC: 1}),
            id="rows",
        ),
    ],
)
def test_a_damaged_image_is_rejected(data: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read(data)


def test_every_cut_is_rejected() -> None:
    data = tiff_of(RGB, 2, rows=9)
    for end in range(4, len(data), 7):
        with pytest.raises(UndecodableImage):
            read(data[:end])


def test_an_image_with_too_many_pixels_is_rejected_before_it_is_decoded() -> None:
    data = tiff([b"?"], {WIDTH: 60_000, HEIGHT: 60_000, BITS: 8, COMPRESSION: 8, PHOTOMETRIC: 1})

    with pytest.raises(ImageTooLarge, match="60000 x 60000 pixels"):
        inspect(data, LIMIT)


def test_the_pixels_of_tiles_outside_the_image_count_as_memory() -> None:
    data = tiff_of(gradient(8, 8), 2, tile=(4096, 4096), deflated=True)

    with pytest.raises(ImageTooLarge, match="MB of memory"):
        inspect(data, LIMIT, max_bytes=100_000_000)


MANY = 500_000


@pytest.mark.parametrize(
    "tags",
    [
        pytest.param({SUBFILE: [0] * MANY}, id="subfile"),
        pytest.param({WIDTH: [83] * MANY}, id="width"),
        pytest.param({HEIGHT: [61] * MANY}, id="height"),
        pytest.param({BITS: [8] * MANY}, id="bits"),
        pytest.param({BITS: [8] * MANY, SAMPLES: 65_535}, id="bits of many channels"),
        pytest.param({COMPRESSION: [1] * MANY}, id="compression"),
        pytest.param({PHOTOMETRIC: [2] * MANY}, id="photometric"),
        pytest.param({PHOTOMETRIC: 3, SAMPLES: 1, COLOURS: [0] * MANY}, id="palette"),
        pytest.param({FILL_ORDER: [1] * MANY}, id="fill order"),
        pytest.param({STRIPS: [8] * MANY}, id="strips"),
        pytest.param({STRIP_BYTES: [83 * 61 * 3] * MANY}, id="bytes of strips"),
        pytest.param({ROWS: [61] * MANY}, id="rows"),
        pytest.param({ORIENTATION: [1] * MANY}, id="orientation"),
        pytest.param({SAMPLES: [3] * MANY}, id="channels"),
        pytest.param({PLANES: [1] * MANY}, id="planes"),
        pytest.param({PREDICTOR: [1] * MANY}, id="predictor"),
        pytest.param({EXTRA: [0] * MANY}, id="meanings of channels"),
        pytest.param({FORMAT: [1] * MANY}, id="kinds of numbers"),
    ],
)
def test_a_header_reads_no_more_values_than_it_needs(tags: Any) -> None:
    data = tiff_of(RGB, 2, more=tags)

    with traced() as peak, suppress(UnsupportedType, UndecodableImage):
        inspect(data, LIMIT)

    assert peak() < 100_000


def test_an_image_of_a_million_strips_is_rejected_before_they_are_read() -> None:
    places = {STRIPS: [8] * 10**6, STRIP_BYTES: [1] * 10**6}
    data = tiff([b"?"], {WIDTH: 1, HEIGHT: 10**6, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, ROWS: 1, **places})

    with traced() as peak, pytest.raises(UndecodableImage, match="too many strips or tiles"):
        inspect(data, LIMIT)

    assert peak() < 100_000


def test_many_strips_take_little_time() -> None:
    data = tiff_of(np.zeros((60_000, 1), np.uint8), 1, rows=1)
    started = time.process_time()

    read(data)

    assert time.process_time() - started < 3


def test_metadata_is_not_read() -> None:
    data = tiff_of(RGB, 2, more={34665: 2**31, 305: b"Camera", 700: bytes(9)})

    assert_alike(read(data).pixels, PHOTO, 0)
    assert exif(1)[:4] == data[:4]


def test_without_pillow_a_tiff_is_rejected_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)

    with pytest.raises(UnsupportedType, match=r"pip install visage-faces\[colour\]"):
        inspect(tiff_of(RGB, 2), LIMIT)


def test_a_tiff_is_rejected_by_a_pillow_without_libtiff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.check", lambda name: name != "libtiff")

    with pytest.raises(UnsupportedType, match="no Pillow that was built with libtiff"):
        inspect(tiff_of(RGB, 2), LIMIT)
