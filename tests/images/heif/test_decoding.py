"""HEIC and AVIF are decoded to the pixels that other decoders see: turned, cropped, from tiles, on white."""

import struct

import cv2
import numpy as np
import pytest

from tests.images.photos import assert_alike, on_white, read
from tests.support.heif import (
    File,
    Item,
    auxc,
    box,
    clap,
    coded,
    cut_in_tiles,
    decode_heic,
    encode_heic,
    grid,
    imir,
    irot,
    ispe,
    single,
    write,
)
from tests.support.pictures import animation, as_stored, encode, exif, gradient
from visage.errors import UndecodableImage

UPRIGHT = gradient(96, 130)

# How HEIF turns what a camera stores for each EXIF orientation.
TURNS = {
    1: (),
    2: (imir(1),),
    3: (irot(2),),
    4: (imir(0),),
    5: (irot(1), imir(0)),
    6: (irot(3),),
    7: (irot(3), imir(0)),
    8: (irot(1),),
}


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_an_image_is_turned_as_its_properties_say(orientation: int, kind: str) -> None:
    data = single(coded(as_stored(UPRIGHT, orientation), kind, quality=95), *TURNS[orientation])

    photo = read(data)

    assert (photo.width, photo.height) == (130, 96)
    assert_alike(photo.pixels, UPRIGHT, 12)
    if kind == "HEIC":
        assert_alike(photo.pixels, decode_heic(data), 1)


@pytest.mark.parametrize("turns", [(imir(0), irot(1)), (imir(1), irot(3)), (irot(1), irot(1)), (imir(0), imir(1))])
def test_turns_apply_in_their_order(turns: tuple[bytes, ...]) -> None:
    data = single(coded(UPRIGHT, quality=95), *turns)

    assert_alike(read(data).pixels, decode_heic(data), 1)


def test_exif_does_not_turn_an_image_again() -> None:
    photo = coded(as_stored(UPRIGHT, 6), quality=95)
    turned = Item(b"hvc1", photo.content, (*photo.properties, irot(3)))
    metadata = Item(b"Exif", bytes(4) + b"Exif\0\0" + exif(6))

    data = write(File((turned, metadata), ((b"cdsc", 2, [1]),)))

    assert_alike(read(data).pixels, UPRIGHT, 12)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_the_orientation_in_exif_alone_does_not_count(kind: str) -> None:
    photo = coded(UPRIGHT, kind, quality=95)
    metadata = Item(b"Exif", bytes(4) + b"Exif\0\0" + exif(6))

    data = write(File((photo, metadata), ((b"cdsc", 2, [1]),), brand=b"heic" if kind == "HEIC" else b"avif"))

    assert_alike(read(data).pixels, UPRIGHT, 12)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize(
    "turns", [(), (irot(1),), (irot(3), imir(0))], ids=["upright", "turned", "turned and mirrored"]
)
def test_tiles_are_put_together(turns: tuple[bytes, ...], kind: str) -> None:
    # AVIF allows no odd sizes here.
    whole = gradient(150, 182 if kind == "AVIF" else 181)
    tiles = [coded(tile, kind, quality=95) for tile in cut_in_tiles(whole, 64)]

    pixels = read(grid(tiles, 3, (whole.shape[1], 150), *turns)).pixels

    expected = whole
    for turn in turns:
        expected = np.rot90(expected, turn[-1]) if b"irot" in turn else np.flipud(expected)
    assert_alike(pixels, np.ascontiguousarray(expected), 12)


def test_tiles_are_those_of_another_decoder() -> None:
    whole = gradient(150, 181)
    data = grid([coded(tile) for tile in cut_in_tiles(whole, 64)], 3, (181, 150))

    assert_alike(read(data).pixels, decode_heic(data), 1)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize(
    ("crop", "left", "top"),
    [
        pytest.param(clap(40, 20, (0, 1), (0, 1)), 45, 38, id="middle"),
        pytest.param(clap(40, 20, (-90, 2), (-38, 1)), 0, 0, id="top left"),
        pytest.param(clap(40, 20, (45, 1), (76, 2)), 90, 76, id="bottom right"),
    ],
)
def test_an_image_is_cropped(crop: bytes, left: int, top: int, kind: str) -> None:
    photo = read(single(coded(UPRIGHT, kind, quality=95), crop))

    assert (photo.width, photo.height) == (40, 20)
    assert_alike(photo.pixels, UPRIGHT[top : top + 20, left : left + 40], 12)


def test_an_image_is_cropped_before_it_is_turned() -> None:
    photo = read(single(coded(UPRIGHT, quality=95), clap(40, 20, (-45, 1), (-38, 1)), irot(1)))

    assert_alike(photo.pixels, np.rot90(UPRIGHT[:20, :40]).copy(), 12)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_transparent_pixels_become_white(kind: str) -> None:
    stored = np.dstack([gradient(64, 96), gradient(64, 96)[..., 0]])
    colours = coded(stored[..., :3].copy(), kind, quality=95)
    alpha = coded(stored[..., 3].copy(), kind, quality=95)
    mask = Item(alpha.kind, alpha.content, (*alpha.properties, auxc()))

    photo = read(write(File((colours, mask), ((b"auxl", 2, [1]),), brand=b"heic" if kind == "HEIC" else b"avif")))

    assert_alike(photo.pixels, on_white(stored), 20)


def test_other_auxiliary_images_are_left_out() -> None:
    depth = coded(UPRIGHT[..., 0].copy())
    data = write(
        File(
            (coded(UPRIGHT, quality=95), Item(depth.kind, depth.content, (*depth.properties, auxc(b"urn:depth")))),
            ((b"auxl", 2, [1]),),
        )
    )

    assert_alike(read(data).pixels, UPRIGHT, 12)


def test_the_primary_image_of_several_is_decoded() -> None:
    data = write(File((coded(UPRIGHT[::-1].copy()), coded(UPRIGHT, quality=95)), primary=2))

    assert_alike(read(data).pixels, UPRIGHT, 12)


def test_the_first_frame_of_an_animated_avif_is_decoded() -> None:
    first = gradient(64, 96)

    assert_alike(read(animation("AVIF", first, first[::-1])).pixels, first, 24)


def test_avif_looks_as_in_another_decoder() -> None:
    data = encode(UPRIGHT, "AVIF")

    assert_alike(read(data).pixels, np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)), 2)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (17, 33), (65, 64)])
def test_small_and_odd_sizes_are_decoded(size: tuple[int, int], kind: str) -> None:
    pixels = np.full((*size, 3), 90, np.uint8)
    data = encode_heic(pixels) if kind == "HEIC" else encode(pixels, "AVIF")

    assert_alike(read(data).pixels, pixels, 4)


def test_an_image_in_several_parts_is_decoded() -> None:
    item = coded(UPRIGHT, quality=95)
    data = single(item)
    start = len(data) - len(item.content)
    extents = {1: [(start, 100), (start + 100, 1), (start + 101, len(item.content) - 101)]}
    moved = len(single(item, extents=extents)) - len(data)

    parts = {1: [(at + moved, length) for at, length in extents[1]]}

    assert_alike(read(single(item, extents=parts)).pixels, UPRIGHT, 12)


@pytest.mark.parametrize("kind", ["HEIC", "AVIF"])
def test_a_size_that_is_not_that_of_the_pixels_is_rejected(kind: str) -> None:
    item = coded(UPRIGHT, kind)
    lying = Item(item.kind, item.content, (item.properties[0], ispe(128, 96)))

    with pytest.raises(UndecodableImage):
        read(single(lying))


def test_the_layout_of_tiles_may_be_in_the_header() -> None:
    """Phones keep it in the box `idat`."""
    tiles = [coded(tile, quality=95) for tile in cut_in_tiles(UPRIGHT, 80)]
    layout = struct.pack(">BBBBHH", 0, 0, 1, 1, 130, 96)
    data = grid(tiles, 2, (130, 96), more=box(b"idat", layout))

    # Number, method 1, no other file, one part at 0.
    entry = data.index(b"iloc") + 14
    moved = data[:entry] + struct.pack(">IHHHII", 1, 1, 0, 1, 0, 8) + data[entry + 18 :]

    assert moved != data
    assert_alike(read(moved).pixels, UPRIGHT, 12)
