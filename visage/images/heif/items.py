"""The items of a HEIC or AVIF file that its still image consists of (ISO/IEC 23008-12, 6).

Everything else is left unread: thumbnails, depth maps, Exif, bursts and videos.
"""

from dataclasses import dataclass

from visage.errors import UndecodableImage
from visage.images.heif.boxes import Box
from visage.images.heif.lists import (
    DAMAGED,
    Extents,
    read_extents,
    read_kinds,
    read_lists,
    read_primary,
    read_properties,
    read_references,
)
from visage.images.image_header import UnsupportedKind

# The type of an auxiliary image that is transparency (MIAF, 7.3.5.2, and H.265, annex F).
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")

# Bytes of such a type with its zero. A longer one is none of these.
_MAX_TYPE = 64

# Auxiliary images of one image: transparency, a gain map, a depth map, mattes of skin, hair, glasses and sky.
_MAX_AUXILIARIES = 100


@dataclass(frozen=True)
class Item:
    """An item of a file.

    `kind` is its type, such as `hvc1`, `av01` or `grid`. `properties` are in the order in which they apply. `extents`
    are the offsets in the file where the parts of its content start and end.
    """

    id: int
    kind: bytes
    properties: tuple[Box, ...]
    extents: Extents

    def content(self, data: bytes) -> bytes:
        return b"".join(data[start:end] for start, end in self.extents)

    def property(self, kind: bytes) -> Box | None:
        """Return the first property of this kind."""
        return next((each for each in self.properties if each.kind == kind), None)


@dataclass(frozen=True)
class Picture:
    """The colours or the transparency of an image: a coded item, or a grid and its tiles, row by row."""

    item: Item
    tiles: tuple[Item, ...]

    @property
    def coded(self) -> tuple[Item, ...]:
        """The items that a decoder decodes, in order; an item may occur several times."""
        return self.tiles or (self.item,)


@dataclass(frozen=True)
class Still:
    """The still image of a file."""

    colours: Picture
    alpha: Picture | None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return (self.colours, self.alpha) if self.alpha else (self.colours,)


def read_still(data: bytes) -> Still:
    """Find the still image of a HEIC or AVIF file.

    Raises:
        UnsupportedKind: the file has none, or one of a rare kind.
        UndecodableImage: the header is cut short or damaged.
        struct.error, IndexError: the same.
    """
    lists = read_lists(data)
    primary = read_primary(data, lists[b"pitm"])
    auxiliaries, premultiplied = list[int](), False
    for kind, source, targets in read_references(data, lists.get(b"iref"), (b"auxl", b"prem")):
        if primary in targets and kind == b"auxl" and len(auxiliaries) < _MAX_AUXILIARIES:
            auxiliaries.append(source)
        premultiplied = premultiplied or (kind == b"prem" and source == primary)

    alpha = _find_alpha(data, lists[b"iprp"], auxiliaries)
    if alpha is not None and premultiplied:
        raise UnsupportedKind("A HEIC or AVIF with premultiplied transparency is not accepted; save it as a PNG.")
    pictures = [primary] if alpha is None else [primary, alpha]
    tiles: dict[int, tuple[int, ...]] = {}
    for _, source, targets in read_references(data, lists.get(b"iref"), (b"dimg",)):
        if source in pictures:
            tiles.setdefault(source, targets)
    wanted = {item for each in pictures for item in (each, *tiles.get(each, ()))}
    kinds = read_kinds(data, lists[b"iinf"])
    properties = read_properties(data, lists[b"iprp"], wanted)
    extents = read_extents(data, lists[b"iloc"], lists.get(b"idat"), wanted)
    if not wanted <= kinds.keys() & extents.keys():
        raise UndecodableImage(DAMAGED)
    # Otherwise a small file could hold many copies of one large item.
    if sum(end - start for each in extents.values() for start, end in each) > len(data):
        raise UndecodableImage("Parts of the image overlap; save it again and send that.")

    items = {each: Item(each, kinds[each], properties.get(each, ()), extents[each]) for each in wanted}
    colours, *rest = (Picture(items[each], tuple(items[tile] for tile in tiles.get(each, ()))) for each in pictures)
    return Still(colours, rest[0] if rest else None)


def _find_alpha(data: bytes, iprp: Box, auxiliaries: list[int]) -> int | None:
    properties = read_properties(data, iprp, auxiliaries) if auxiliaries else {}
    for item in auxiliaries:
        for each in properties.get(item, ()):
            # Behind version and flags; a zero ends the text.
            text = data[each.start + 4 : min(each.end, each.start + 4 + _MAX_TYPE)]
            if each.kind == b"auxC" and text.partition(b"\0")[0] in _ALPHA:
                return item
    return None
