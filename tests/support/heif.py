"""HEIC and AVIF files: from encoders, and put together box by box."""

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import Pixels, encode

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"


def encode_heic(pixels: Pixels, **options: Any) -> bytes:
    """Encode (h, w) grey, (h, w, 3) BGR or (h, w, 4) BGRA uint8 with pillow-heif."""
    # One thread, and little effort: encoding takes a tenth of the time.
    options = {"enc_params": {"x265:pools": "none", "preset": "ultrafast"}, **options}
    order = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(order)).save(file, **options)
    return file.getvalue()


def decode_heic(data: bytes) -> Pixels:
    """Decode with pillow-heif to (h, w, 3) uint8 BGR, turned and cropped, without transparency."""
    image = pillow_heif.open_heif(io.BytesIO(data)).to_pillow().convert("RGB")
    return np.asarray(image)[..., ::-1].copy()


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def irot(turns: int) -> bytes:
    """Anticlockwise quarter turns."""
    return box(b"irot", bytes([turns]))


def imir(axis: int) -> bytes:
    """0 exchanges top and bottom, 1 left and right."""
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int, right: tuple[int, int], down: tuple[int, int]) -> bytes:
    """A crop whose centre is so many pixels, as fractions, right of and below that of the image."""
    return box(b"clap", struct.pack(">8i", width, 1, height, 1, *right, *down))


def auxc(kind: bytes = ALPHA) -> bytes:
    return full_box(b"auxC", kind + b"\0")


def nclx(primaries: int, transfer: int) -> bytes:
    """Colours by numbers; brightness and colour differences are those of BT.601, in the full range."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 0x80))


@dataclass(frozen=True)
class Item:
    """An item: its type, its content, and its properties as boxes."""

    kind: bytes
    content: bytes
    properties: tuple[bytes, ...] = ()
    essential: bool = True


@dataclass(frozen=True)
class File:
    """What `write` makes a file of. Items have the numbers 1, 2, ..."""

    items: tuple[Item, ...]
    references: tuple[tuple[bytes, int, Sequence[int]], ...] = ()
    primary: int = 1
    brand: bytes = b"heic"
    extents: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
    more: bytes = b""


def write(file: File) -> bytes:
    """The file with its lists in their longer forms: numbers of 32 bits, and properties of 16."""
    head = box(b"ftyp", file.brand, bytes(4), b"mif1", file.brand)

    def meta(start: int) -> bytes:
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", struct.pack(">I", file.primary), version=1),
            _locations(file, start),
            _infos(file.items),
            full_box(b"iref", *(_reference(*each) for each in file.references), version=1),
            _properties(file.items),
            file.more,
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *(item.content for item in file.items))


def _locations(file: File, start: int) -> bytes:
    entries = []
    for number, item in enumerate(file.items, 1):
        extents = file.extents.get(number, [(start, len(item.content))])
        parts = b"".join(struct.pack(">II", *extent) for extent in extents)
        entries.append(struct.pack(">IHHH", number, 0, 0, len(extents)) + parts)
        start += len(item.content)
    return full_box(b"iloc", struct.pack(">BBI", 0x44, 0, len(entries)), *entries, version=2)


def _infos(items: Sequence[Item]) -> bytes:
    entries = [
        full_box(b"infe", struct.pack(">IH4sx", number, 0, item.kind), version=3)
        for number, item in enumerate(items, 1)
    ]
    return full_box(b"iinf", struct.pack(">I", len(entries)), *entries, version=1)


def _reference(kind: bytes, source: int, targets: Sequence[int]) -> bytes:
    return box(kind, struct.pack(f">IH{len(targets)}I", source, len(targets), *targets))


def _properties(items: Sequence[Item]) -> bytes:
    boxes = [each for item in items for each in item.properties]
    entries, number = [struct.pack(">I", len(items))], 1
    for item_number, item in enumerate(items, 1):
        numbers = [number + index | item.essential << 15 for index in range(len(item.properties))]
        number += len(numbers)
        entries.append(struct.pack(f">IB{len(numbers)}H", item_number, len(numbers), *numbers))
    return box(b"iprp", box(b"ipco", *boxes), full_box(b"ipma", *entries, version=1, flags=1))


def coded(pixels: Pixels, kind: str = "HEIC", **options: Any) -> Item:
    """An item with these pixels, as an encoder makes it, with its size and its configuration."""
    data = encode_heic(pixels, **options) if kind == "HEIC" else encode(pixels, "AVIF", speed=9, **options)
    name, configuration = (b"hvc1", b"hvcC") if kind == "HEIC" else (b"av01", b"av1C")
    at = data.index(configuration) - 4
    length = int.from_bytes(data[at : at + 4])
    content = data[data.index(b"mdat") + 4 :]
    return Item(name, content, (data[at : at + length], ispe(pixels.shape[1], pixels.shape[0]), nclx(1, 13)))


def single(item: Item, *properties: bytes, **changes: Any) -> bytes:
    """A file with one image that has these further properties."""
    brand = b"heic" if item.kind == b"hvc1" else b"avif"
    return write(File((replace(item, properties=(*item.properties, *properties)),), brand=brand, **changes))


def grid(tiles: Sequence[Item], columns: int, size: tuple[int, int], *properties: bytes, **changes: Any) -> bytes:
    """A file with an image of (width, height) pixels that consists of tiles, row by row."""
    rows = len(tiles) // columns
    content = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    whole = Item(b"grid", content, (ispe(*size), *properties))
    brand = b"heic" if tiles[0].kind == b"hvc1" else b"avif"
    references = ((b"dimg", 1, range(2, 2 + len(tiles))),)
    return write(File((whole, *tiles), references, brand=brand, **changes))


def cut_in_tiles(pixels: NDArray[np.uint8], side: int) -> list[NDArray[np.uint8]]:
    """Square tiles, row by row; the last ones repeat the border of the image."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    return [
        padded[top : top + side, left : left + side].copy()
        for top in range(0, padded.shape[0], side)
        for left in range(0, padded.shape[1], side)
    ]
