"""The header of a HEIC or AVIF is read within limits; rare and damaged kinds are rejected by name."""

import struct
import sys
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest

from tests.images.photos import LIMIT, read
from tests.support.heif import (
    File,
    Item,
    auxc,
    box,
    clap,
    coded,
    cut_in_tiles,
    encode_heic,
    full_box,
    grid,
    imir,
    irot,
    ispe,
    single,
    write,
)
from tests.support.memory import peak_bytes
from tests.support.pictures import gradient
from visage.errors import ImageTooLarge, UndecodableImage, UnsupportedType
from visage.images.decoding import decode, inspect
from visage.images.headers import ImageHeader, is_image, read_header

PHOTO = gradient(64, 96)
HEIC = coded(PHOTO)
AVIF = coded(PHOTO, "AVIF")
TILE = coded(gradient(64, 64))


def with_size(item: Item, width: int, height: int) -> Item:
    """The item with another size in its header."""
    return Item(item.kind, item.content, (item.properties[0], ispe(width, height)))


def claiming_bits(heic: bytes, luma: int, chroma: int) -> bytes:
    """The file with other depths in the configuration of its decoder (ISO/IEC 14496-15, 8.3.3.1)."""
    start = heic.index(b"hvcC") + 4
    return heic[: start + 17] + bytes([0xF8 | luma - 8, 0xF8 | chroma - 8]) + heic[start + 19 :]


def derived(kind: bytes) -> bytes:
    """An image of this kind that is made from another one."""
    return write(File((Item(kind, b"?", (ispe(9, 9),)), HEIC), ((b"dimg", 1, [2]),)))


def test_a_header_has_type_size_orientation_and_transparency() -> None:
    mask = Item(HEIC.kind, HEIC.content, (*HEIC.properties, auxc()))

    assert read_header(single(HEIC, irot(3))) == ImageHeader("HEIC", 96, 64, 6, bytes_per_pixel=7, coded_pixels=6144)
    assert read_header(single(AVIF)) == ImageHeader("AVIF", 96, 64, bytes_per_pixel=12.5, coded_pixels=6144)
    assert read_header(write(File((HEIC, mask), ((b"auxl", 2, [1]),)))).has_alpha


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim"])
def test_the_content_decides_about_the_format_not_the_brand(brand: bytes) -> None:
    assert read_header(write(File((HEIC,), brand=brand))).format == "HEIC"
    assert read_header(write(File((AVIF,), brand=brand))).format == "AVIF"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(single(Item(b"jpeg", b"?", (ispe(9, 9),))), "of the kind 'jpeg'", id="JPEG"),
        pytest.param(single(Item(b"unci", b"?", (ispe(9, 9),))), "of the kind 'unci'", id="uncompressed"),
        pytest.param(
            derived(b"iovl"),
            "several layers",
            id="overlay",
        ),
        pytest.param(derived(b"iden"), "several layers", id="alias"),
        pytest.param(single(HEIC, irot(1), clap(9, 9, (0, 1), (0, 1))), "turned and then cropped", id="turned first"),
        pytest.param(single(HEIC, box(b"lsel", bytes(2))), "the property 'lsel'", id="essential"),
        pytest.param(grid([TILE] * 1001, 143, (9152, 448)), "more than 1,000 tiles", id="many tiles"),
        pytest.param(
            grid([Item(TILE.kind, TILE.content, (*TILE.properties, irot(1)))], 1, (64, 64)), "turned tiles", id="tiles"
        ),
        pytest.param(
            write(
                File(
                    (HEIC, Item(TILE.kind, TILE.content, (*TILE.properties, auxc()))),
                    ((b"auxl", 2, [1]), (b"prem", 1, [2])),
                )
            ),
            "premultiplied transparency",
            id="premultiplied",
        ),
        pytest.param(
            write(File((HEIC, Item(TILE.kind, TILE.content, (*TILE.properties, auxc()))), ((b"auxl", 2, [1]),))),
            "transparency of another size",
            id="small transparency",
        ),
        pytest.param(box(b"ftyp", b"msf1", bytes(4)) + box(b"moov", bytes(99)), "without a still image", id="video"),
        # libheif 1.23 corrupts the heap if the coded data have 8 bits, whatever bits this says.
        pytest.param(
            claiming_bits(encode_heic(gradient(64, 64)[..., 0]), luma=10, chroma=10),
            "more than 8 bits of grey",
            id="deep grey",
        ),
        pytest.param(
            claiming_bits(encode_heic(gradient(64, 64)[..., 0]), luma=8, chroma=12),
            "more than 8 bits of grey",
            id="deep chroma of grey",
        ),
    ],
)
def test_rare_kinds_are_rejected_by_name(data: bytes, sentence: str) -> None:
    with pytest.raises(UnsupportedType, match=sentence):
        read_header(data)
    assert is_image(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(single(with_size(HEIC, 0, 64)), id="no width"),
        pytest.param(single(with_size(HEIC, 96, 0)), id="no height"),
        pytest.param(single(Item(b"hvc1", HEIC.content, HEIC.properties[:1])), id="no size"),
        pytest.param(single(Item(b"hvc1", HEIC.content, HEIC.properties[1:])), id="no configuration"),
        pytest.param(single(HEIC, clap(97, 9, (0, 1), (0, 1))), id="crop that is too wide"),
        pytest.param(single(HEIC, clap(9, 9, (50, 1), (0, 1))), id="crop outside"),
        pytest.param(single(HEIC, clap(9, 9, (50, 0), (0, 1))), id="crop by nothing"),
        pytest.param(single(HEIC, clap(0, 9, (0, 1), (0, 1))), id="empty crop"),
        pytest.param(write(File((HEIC,), primary=2)), id="no primary item"),
        pytest.param(single(HEIC, extents={1: [(10**6, 9)]}), id="content outside the file"),
        pytest.param(single(HEIC, extents={1: [(0, 0)]}), id="content without an end"),
        pytest.param(single(HEIC, extents={1: [(0, 9)] * 101}), id="content in many parts"),
        pytest.param(single(HEIC, extents={1: [(0, 400)] * 100}), id="content that overlaps"),
        pytest.param(single(HEIC, more=box(b"iloc", bytes(8))), id="two lists"),
        pytest.param(grid([TILE] * 4, 2, (200, 128)), id="tiles that are too narrow"),
        pytest.param(grid([TILE] * 4, 2, (64, 128)), id="tiles that are left over"),
        pytest.param(grid([TILE] * 3, 2, (128, 64)), id="too few tiles"),
        pytest.param(grid([TILE, HEIC], 2, (128, 64)), id="tiles of two sizes"),
        pytest.param(single(Item(b"grid", bytes(3), (ispe(9, 9),))), id="a layout that is cut short"),
        pytest.param(box(b"ftyp", b"heic", bytes(4)), id="nothing"),
        pytest.param(box(b"ftyp", b"heic", bytes(4)) + full_box(b"meta"), id="no lists"),
        pytest.param(b"\0\0\0\0ftypheic", id="a box to the end"),
        pytest.param(b"\0\0\0\1ftypheic\0\0\0\0", id="a long box that is cut short"),
    ],
)
def test_a_damaged_header_is_rejected(data: bytes) -> None:
    with pytest.raises((UndecodableImage, UnsupportedType)):
        read(data)


def test_every_cut_is_rejected() -> None:
    for data in (single(HEIC), single(AVIF), grid([TILE] * 2, 2, (128, 64))):
        for end in range(12, len(data)):
            with pytest.raises(UndecodableImage):
                read_header(data[:end])


def test_an_image_with_too_many_pixels_is_rejected_before_it_is_decoded() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000 pixels"):
        inspect(single(with_size(HEIC, 60_000, 60_000)), LIMIT)


def test_the_pixels_of_tiles_outside_the_image_count_as_memory() -> None:
    tile = with_size(TILE, 4096, 4096)
    data = grid([tile], 1, (8, 8))

    assert read_header(data).decoding_bytes == 7 * 4096 * 4096
    with pytest.raises(ImageTooLarge, match="MB of memory"):
        inspect(data, LIMIT, max_bytes=100_000_000)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_an_image_that_is_larger_than_its_header_says_takes_little_memory(kind: str) -> None:
    large = coded(np.zeros((2048, 4096, 3), np.uint8), kind)
    setup = """
from tests.support.heif import coded, single
from tests.support.pictures import gradient
from visage.errors import UndecodableImage
from visage.images.decoding import decode, inspect
small = single(coded(gradient(64, 64), "{kind}"))
decode(small, inspect(small, 10_000))
""".replace("{kind}", kind)
    code = """
try:
    decode(data, inspect(data, 10_000))
    raise AssertionError
except UndecodableImage:
    pass
"""

    assert peak_bytes(setup, code, single(with_size(large, 64, 64))) < 4_000_000


@pytest.mark.parametrize("item", [HEIC, AVIF], ids=["HEIC", "AVIF"])
def test_an_item_with_many_frames_is_rejected(item: Item) -> None:
    # An AV1 image begins with a header of the sequence, which may occur again.
    data = single(Item(item.kind, item.content * 10, item.properties))

    with pytest.raises(UndecodableImage, match="several frames"):
        decode(data, inspect(data, LIMIT))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\0\xff" + bytes(9), id="a unit that is too long"),
        pytest.param(b"\0\0\0\1\0" * 9, id="a unit without a header"),
        pytest.param(struct.pack(">I", 3) + b"\x40\1\0", id="no frame"),
    ],
)
def test_damaged_units_of_hevc_are_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read(single(Item(b"hvc1", content, HEIC.properties)))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff", id="a length without an end"),
        pytest.param(b"\x0a\x7f\0", id="a unit that is too long"),
        pytest.param(b"\x0a\1\0", id="a header that is cut short"),
        pytest.param(b"\x12\0" * 9, id="no header"),
        pytest.param(b"\x0a", id="no length"),
    ],
)
def test_damaged_units_of_av1_are_rejected(content: bytes) -> None:
    with pytest.raises(UndecodableImage):
        read(single(Item(b"av01", content, AVIF.properties)))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0\0\0\x0cftypheic" + struct.pack(">I4s", 8, b"free") * 500_000, id="boxes"),
        pytest.param(write(File((HEIC,), tuple((b"dimg", 9, range(1000)) for _ in range(500)))), id="references"),
        pytest.param(
            write(File((HEIC,), tuple((b"dimg", item, range(1000)) for item in range(2, 1500)))),
            id="references from many items",
        ),
        pytest.param(
            write(File((HEIC, Item(b"hvc1", b"?", (auxc(bytes(20_000_000)),))), ((b"auxl", 2, [1]),))),
            id="the name of an auxiliary image",
        ),
        pytest.param(
            write(File((HEIC,), more=b"".join(struct.pack(">I4s", 8, b"free") for _ in range(200_000)))), id="lists"
        ),
        pytest.param(write(File((HEIC, *[Item(b"hvc1", b"?", (ispe(1, 1),))] * 30_000))), id="items"),
    ],
)
def test_a_header_of_many_parts_takes_little_time_and_memory(data: bytes) -> None:
    tracemalloc.start()
    started = time.process_time()
    with suppress(UndecodableImage, UnsupportedType):
        read_header(data)
    seconds = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seconds < 3
    assert peak < 20_000_000


@pytest.mark.parametrize(("package", "item"), [("pi_heif", HEIC), ("PIL", AVIF)])
def test_without_its_package_an_image_is_rejected_with_what_to_install(
    package: str, item: Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(UnsupportedType, match=r"pip install visage-faces\[heif\]"):
        inspect(single(item), LIMIT)


def test_an_avif_is_rejected_by_a_pillow_without_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.AvifImagePlugin.SUPPORTED", False)

    with pytest.raises(UnsupportedType, match="no Pillow that was built with it"):
        inspect(single(AVIF), LIMIT)


def test_the_mirror_of_a_mirrored_image_is_upright() -> None:
    assert read_header(single(HEIC, imir(0), imir(0))).orientation == 1
    assert read_header(single(HEIC, irot(1), irot(3))).orientation == 1


def test_tiles_may_be_one() -> None:
    tiles = cut_in_tiles(PHOTO, 96)

    assert read_header(grid([coded(tile) for tile in tiles], 1, (96, 64))).coded_pixels == 96 * 96
