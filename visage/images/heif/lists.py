"""The lists in the `meta` box of a HEIC or AVIF file (ISO/IEC 14496-12, 8.11, and 23008-12, 9.3).

Numbers in the file limit nothing here; the bytes of a list do, and the limits below.
"""

import struct
from collections.abc import Collection, Iterator

from visage.errors import UndecodableImage
from visage.images.heif.boxes import Box, read_boxes
from visage.images.image_header import UnsupportedKind

# Entries of a list. A photo of a phone has about fifty items, a burst some thousands.
_MAX_ENTRIES = 20_000

# Tiles of one image. Phones use 512 x 512 pixels: 192 tiles for 48 megapixels, 768 for 200.
_MAX_TILES = 1000

# Parts of the file that one item consists of. Encoders write one.
_MAX_EXTENTS = 100

# Properties of one item. Encoders write up to ten.
_MAX_PROPERTIES = 100

# Properties whose meaning is known here. Others are ignored, unless the file calls them essential.
_KNOWN = (b"ispe", b"irot", b"imir", b"clap", b"colr", b"pixi", b"pasp", b"hvcC", b"av1C", b"auxC", b"clli", b"mdcv")

# Where the bytes of an item are (ISO/IEC 14496-12, 8.11.3): in the file, or in the box `idat`.
_IN_FILE, _IN_IDAT = 0, 1

DAMAGED = "The image is damaged in its header; send the original file."

Extents = tuple[tuple[int, int], ...]


def read_lists(data: bytes) -> dict[bytes, Box]:
    """Return the boxes of the file's `meta` box by their kind.

    Raises:
        UnsupportedKind: there is a video in place of a still image.
        UndecodableImage: a list is missing or occurs twice.
    """
    has_video = False
    for box in read_boxes(data, 0, len(data)):
        if box.kind == b"meta":
            lists: dict[bytes, Box] = {}
            for each in read_boxes(data, box.start + 4, box.end):
                if each.kind in lists and each.kind != b"free":
                    raise UndecodableImage(DAMAGED)
                lists[each.kind] = each
            if not lists.keys() >= {b"pitm", b"iinf", b"iloc", b"iprp"}:
                raise UndecodableImage(DAMAGED)
            return lists
        has_video = has_video or box.kind == b"moov"
    if has_video:
        raise UnsupportedKind("A video or burst without a still image is not accepted; send one of its images as JPEG.")
    raise UndecodableImage("The image is cut short in its header; send the whole original file.")


def read_primary(data: bytes, pitm: Box) -> int:
    """Return the ID of the item that is the still image."""
    (item,) = struct.unpack_from(">I" if data[pitm.start] else ">H", data, pitm.start + 4)
    return int(item)


def read_kinds(data: bytes, iinf: Box) -> dict[int, bytes]:
    """Return the type of each item by its ID."""
    kinds: dict[int, bytes] = {}
    for box in read_boxes(data, iinf.start + (8 if data[iinf.start] else 6), iinf.end):
        version = data[box.start]
        if box.kind == b"infe" and version in (2, 3):
            item, kind = struct.unpack_from(">H2x4s" if version == 2 else ">I2x4s", data, box.start + 4)
            kinds.setdefault(item, kind)
    return kinds


def read_references(
    data: bytes, iref: Box | None, kinds: Collection[bytes]
) -> Iterator[tuple[bytes, int, tuple[int, ...]]]:
    """Yield kind, source and targets of each reference between items that is one of `kinds`.

    Raises:
        UnsupportedKind: an item has too many targets.
    """
    if iref is None:
        return
    letter, size = ("I", 4) if data[iref.start] else ("H", 2)
    for box in read_boxes(data, iref.start + 4, iref.end):
        if box.kind not in kinds:
            continue
        source, count = struct.unpack_from(f">{letter}H", data, box.start)
        if count > _MAX_TILES:
            raise UnsupportedKind(f"An image of more than {_MAX_TILES:,} tiles is not accepted; save it as a JPEG.")
        yield box.kind, source, struct.unpack_from(f">{count}{letter}", data, box.start + size + 2)


def read_properties(data: bytes, iprp: Box, items: Collection[int]) -> dict[int, tuple[Box, ...]]:
    """Return the properties of each of `items`, in their order.

    Raises:
        UnsupportedKind: an item has an essential property that is not known.
    """
    boxes = list(read_boxes(data, iprp.start, iprp.end))
    containers = [list(read_boxes(data, box.start, box.end)) for box in boxes if box.kind == b"ipco"]
    if len(containers) != 1:
        raise UndecodableImage(DAMAGED)
    properties: dict[int, tuple[Box, ...]] = {}
    for box in boxes:
        if box.kind == b"ipma":
            for item, numbers in _associations(data, box):
                if item in items:
                    properties.setdefault(item, tuple(_chosen(containers[0], numbers)))
    return properties


def _associations(data: bytes, ipma: Box) -> Iterator[tuple[int, tuple[tuple[int, bool], ...]]]:
    """Yield the ID of each item, and the numbers of its properties with whether each is essential."""
    version, wide = data[ipma.start], data[ipma.start + 3] & 1
    (count,) = struct.unpack_from(">I", data, ipma.start + 4)
    at = ipma.start + 8
    letter, bits = ("H", 15) if wide else ("B", 7)
    for _ in range(min(count, _MAX_ENTRIES)):
        item, length = struct.unpack_from(">IB" if version else ">HB", data, at)
        at += 5 if version else 3
        numbers = struct.unpack_from(f">{length}{letter}", data, at)
        at += length * (2 if wide else 1)
        if at > ipma.end or length > _MAX_PROPERTIES:
            raise UndecodableImage(DAMAGED)
        yield item, tuple((number & (1 << bits) - 1, bool(number >> bits)) for number in numbers)


def _chosen(container: list[Box], numbers: tuple[tuple[int, bool], ...]) -> Iterator[Box]:
    for number, is_essential in numbers:
        # Numbers begin at 1; 0 is none.
        if not number:
            continue
        if number > len(container):
            raise UndecodableImage(DAMAGED)
        box = container[number - 1]
        if is_essential and box.kind not in _KNOWN:
            name = box.kind.decode("ascii", "replace")
            raise UnsupportedKind(f"A HEIC or AVIF with the property {name!r} is not accepted; save it as a JPEG.")
        if box.kind in _KNOWN:
            yield box


def read_extents(data: bytes, iloc: Box, idat: Box | None, items: Collection[int]) -> dict[int, Extents]:
    """Return where the content of each of `items` starts and ends in the file, part by part.

    Raises:
        UndecodableImage: a part is outside the file, or in another one.
    """
    version = data[iloc.start]
    sizes, more_sizes = data[iloc.start + 4], data[iloc.start + 5]
    offset_size, length_size = sizes >> 4, sizes & 15
    base_size, index_size = more_sizes >> 4, more_sizes & 15 if version in (1, 2) else 0
    at = iloc.start + 6
    width = 4 if version == 2 else 2
    count, at = _number(data, at, width), at + width
    extents: dict[int, Extents] = {}
    for _ in range(min(count, _MAX_ENTRIES)):
        item, at = _number(data, at, width), at + width
        method = _IN_FILE
        if version in (1, 2):
            method, at = _number(data, at, 2) & 15, at + 2
        file, base, parts = _number(data, at, 2), _number(data, at + 2, base_size), _number(data, at + 2 + base_size, 2)
        at += 4 + base_size
        part_size = index_size + offset_size + length_size
        if at + parts * part_size > iloc.end:
            raise UndecodableImage(DAMAGED)
        if item in items and item not in extents:
            if file or method not in (_IN_FILE, _IN_IDAT) or not 1 <= parts <= _MAX_EXTENTS:
                raise UndecodableImage(DAMAGED)
            within = (0, len(data)) if method == _IN_FILE else (idat.start, idat.end) if idat else (0, 0)
            starts = [at + part * part_size + index_size for part in range(parts)]
            extents[item] = tuple(
                _extent(
                    base + _number(data, start, offset_size), _number(data, start + offset_size, length_size), within
                )
                for start in starts
            )
        at += parts * part_size
    return extents


def _extent(offset: int, length: int, within: tuple[int, int]) -> tuple[int, int]:
    start, end = within[0] + offset, within[0] + offset + length
    if not length or end > within[1]:
        raise UndecodableImage("The image is cut short or damaged; send the whole original file.")
    return start, end


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size])
