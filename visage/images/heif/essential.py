"""Write a HEIC or AVIF again with its still image alone, so that a decoder sees nothing that was not checked."""

import struct

from visage.errors import UndecodableImage
from visage.images.heif.boxes import write_box, write_full_box
from visage.images.heif.codecs import check_av1, check_hevc
from visage.images.heif.header import format_of, read_size
from visage.images.heif.items import Item, Picture, Still
from visage.images.heif.lists import DAMAGED

# The brands of the files that are written (ISO/IEC 23008-12, annex B, and the AVIF specification, 6).
_BRANDS = {"HEIC": (b"heic", b"mif1", b"heic"), "AVIF": (b"avif", b"avif", b"mif1", b"miaf")}

# Properties that decoders need. Crop and rotation are applied afterwards, and colours are converted.
_NEEDED = (b"ispe", b"pixi", b"hvcC", b"av1C", b"auxC")

# Bytes of a property that a decoder needs. A configuration with its parameter sets has about 100.
_MAX_PROPERTY = 2**16


def essential_heif(data: bytes, still: Still) -> bytes:
    """Return a file with the items of the still image as stored: not cropped, not turned, without a profile.

    What the coded data say about their size and frames was checked.

    Raises:
        UndecodableImage: the coded data are damaged or do not fit the header.
    """
    major, *compatible = _BRANDS[format_of(still)]
    items = {item.id: item for picture in still.pictures for item in (*picture.tiles, picture.item)}
    numbers = {each: number for number, each in enumerate(items, 1)}
    contents = [_checked_content(data, item) for item in items.values()]
    properties, associations = _properties(data, list(items.values()))

    def meta(start: int) -> bytes:
        return write_full_box(
            b"meta",
            write_full_box(b"hdlr", bytes(4), b"pict", bytes(13)),
            write_full_box(b"pitm", struct.pack(">H", numbers[still.colours.item.id])),
            _locations([len(content) for content in contents], start),
            _infos(list(items.values())),
            _references(still, numbers),
            write_box(b"iprp", write_box(b"ipco", *properties), associations),
        )

    head = write_box(b"ftyp", major, bytes(4), *compatible)
    # The offsets have the same length, whatever they are.
    start = len(head) + len(meta(0)) + 8
    return b"".join((head, meta(start), write_box(b"mdat", *contents)))


def _checked_content(data: bytes, item: Item) -> bytes:
    content = item.content(data)
    if item.kind == b"av01":
        check_av1(content, *read_size(data, item))
    elif item.kind != b"grid":
        configuration = item.property(b"hvcC")
        if configuration is None or configuration.size < 23:
            raise UndecodableImage(DAMAGED)
        check_hevc(content, data[configuration.start : configuration.start + 23])
    return content


def _properties(data: bytes, items: list[Item]) -> tuple[list[bytes], bytes]:
    """Return the boxes of all properties, each once, and the box that says which item has which (`ipma`)."""
    boxes: dict[bytes, int] = {}
    entries = [struct.pack(">I", len(items))]
    for number, item in enumerate(items, 1):
        chosen = [box for box in item.properties if box.kind in _NEEDED or _is_colour_matrix(data, box.start, box.kind)]
        if any(box.size > _MAX_PROPERTY for box in chosen):
            raise UndecodableImage(DAMAGED)
        # Of several properties of a kind the first counts.
        written = {box.kind: write_box(box.kind, data[box.start : box.end]) for box in reversed(chosen)}
        indices = [boxes.setdefault(each, len(boxes) + 1) for each in written.values()]
        entries.append(struct.pack(f">HB{len(indices)}H", number, len(indices), *indices))
    return list(boxes), write_full_box(b"ipma", *entries, flags=1)


def _is_colour_matrix(data: bytes, start: int, kind: bytes) -> bool:
    """Whether a property says how brightness and colour differences become RGB."""
    return kind == b"colr" and data.startswith(b"nclx", start)


def _locations(lengths: list[int], start: int) -> bytes:
    # Offsets and lengths of 4 bytes, no base offset.
    entries = [struct.pack(">BBH", 0x44, 0, len(lengths))]
    for number, length in enumerate(lengths, 1):
        entries.append(struct.pack(">HHHII", number, 0, 1, start, length))
        start += length
    return write_full_box(b"iloc", *entries)


def _infos(items: list[Item]) -> bytes:
    entries = [
        write_box(b"infe", struct.pack(">BxxxHxx4sx", 2, number, item.kind)) for number, item in enumerate(items, 1)
    ]
    return write_full_box(b"iinf", struct.pack(">H", len(items)), *entries)


def _references(still: Still, numbers: dict[int, int]) -> bytes:
    boxes = [_tiles(picture, numbers) for picture in still.pictures if picture.tiles]
    if still.alpha:
        ends = numbers[still.alpha.item.id], numbers[still.colours.item.id]
        boxes.append(write_box(b"auxl", struct.pack(">HHH", ends[0], 1, ends[1])))
    return write_full_box(b"iref", *boxes) if boxes else b""


def _tiles(picture: Picture, numbers: dict[int, int]) -> bytes:
    targets = [numbers[tile.id] for tile in picture.tiles]
    return write_box(b"dimg", struct.pack(f">HH{len(targets)}H", numbers[picture.item.id], len(targets), *targets))
