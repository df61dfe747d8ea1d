"""The header of a HEIC or AVIF: size, crop, rotation, tiles and transparency (ISO/IEC 23008-12, 6.5 and 6.6)."""

import struct
from dataclasses import dataclass
from fractions import Fraction

from visage.errors import UndecodableImage
from visage.images.heif.boxes import Box
from visage.images.heif.items import Item, Picture, Still, read_still
from visage.images.heif.lists import DAMAGED
from visage.images.image_header import ImageHeader, UnsupportedKind

# The formats by the type of the coded items.
_FORMATS = {b"hvc1": "HEIC", b"hev1": "HEIC", b"av01": "AVIF"}

# EXIF orientations as clockwise quarter turns, then a horizontal flip (EXIF 2.3, 4.6.4).
_ORIENTATIONS = {
    (0, False): 1,
    (0, True): 2,
    (2, False): 3,
    (2, True): 4,
    (1, True): 5,
    (1, False): 6,
    (3, True): 7,
    (3, False): 8,
}

# Properties that change where pixels are.
_TRANSFORMATIONS = (b"clap", b"irot", b"imir")

# Values for each pixel in the planes of a coded image, by the number of its chroma format: grey, 4:2:0, 4:2:2, 4:4:4.
_VALUES = (1, 1.5, 2, 3)

# The most memory that decoding takes for each pixel of tiles or image, in bytes (measured with pi-heif 1.4 and Pillow
# 13): the planes, of which libheif has a copy, and the result. More with transparency.
_PLANES = {"HEIC": 2, "AVIF": 1}
_RESULT = {"HEIC": 4, "AVIF": 11}
_ALPHA = 4


@dataclass(frozen=True)
class Crop:
    """The part of the stored pixels that is shown, in pixels."""

    left: int
    top: int
    width: int
    height: int


def read_heif_header(data: bytes) -> ImageHeader:
    still = read_still(data)
    name = format_of(still)
    if any(_is_deep_grey(data, item) for item in still.colours.coded):
        raise _unsupported(name, "more than 8 bits of grey")
    size = read_size(data, still.colours.item)
    if still.alpha and read_size(data, still.alpha.item) != size:
        raise _unsupported(name, "transparency of another size")
    crop = read_crop(data, still)
    has_alpha = still.alpha is not None
    return ImageHeader(
        name,
        crop.width,
        crop.height,
        _orientation(data, still.colours.item),
        has_alpha,
        _PLANES[name] * _plane_bytes(data, still.colours) + _RESULT[name] + (_ALPHA if has_alpha else 0),
        coded_pixels=max(_coded_pixels(data, name, picture) for picture in still.pictures),
    )


def format_of(still: Still) -> str:
    """Return HEIC or AVIF.

    Raises:
        UnsupportedKind: the image is coded in another way, or in several.
    """
    kinds = {item.kind for picture in still.pictures for item in picture.coded}
    formats = {_FORMATS.get(kind, "") for kind in kinds}
    if len(formats) != 1 or "" in formats:
        names = " and ".join(sorted(kind.decode("ascii", "replace") for kind in kinds))
        raise UnsupportedKind(f"A HEIF image of the kind {names!r} is not accepted; save it as a JPEG.")
    for picture in still.pictures:
        if picture.tiles and picture.item.kind != b"grid":
            raise _unsupported(formats.pop(), "several layers")
    return formats.pop()


def read_size(data: bytes, item: Item) -> tuple[int, int]:
    """Return width and height of the pixels of an item as stored, which its property `ispe` tells."""
    box = item.property(b"ispe")
    if box is None:
        raise UndecodableImage(DAMAGED)
    width, height = struct.unpack_from(">II", data, box.start + 4)
    return width, height


def read_crop(data: bytes, still: Still) -> Crop:
    """Return the part of the stored pixels that is shown: the clean aperture (ISO/IEC 14496-12, 12.1.4)."""
    width, height = read_size(data, still.colours.item)
    box = still.colours.item.property(b"clap")
    if box is None:
        return Crop(0, 0, width, height)
    numbers = struct.unpack_from(">4i4i", data, box.start)
    if min(numbers[1::2]) < 1:
        raise UndecodableImage(DAMAGED)
    crop_width, crop_height, right, down = (
        Fraction(over, under) for over, under in zip(numbers[::2], numbers[1::2], strict=True)
    )
    # Offsets are those of its centre from that of the image.
    left, top = round(right + (width - crop_width) / 2), round(down + (height - crop_height) / 2)
    crop = Crop(left, top, int(crop_width), int(crop_height))
    if min(left, top) < 0 or left + crop.width > width or top + crop.height > height:
        raise UndecodableImage(DAMAGED)
    return crop


def _orientation(data: bytes, item: Item) -> int:
    """Return the EXIF orientation that does what the image's own properties say. Its Exif does not count."""
    turns, flipped = 0, False
    for box in _transformations(item):
        if box.kind == b"irot":
            # Anticlockwise.
            turns += data[box.start] & 3 if flipped else -(data[box.start] & 3)
        elif box.kind == b"imir":
            # 1 exchanges left and right; 0 exchanges top and bottom, which is the same after half a turn.
            turns += 0 if data[box.start] & 1 else 2
            flipped = not flipped
        elif turns or flipped:
            raise UnsupportedKind("A HEIC or AVIF that is turned and then cropped is not accepted; save it as a JPEG.")
    return _ORIENTATIONS[turns % 4, flipped]


def _plane_bytes(data: bytes, picture: Picture) -> float:
    """Return the bytes of each pixel of a coded image, which the configuration of its decoder tells."""
    item = picture.coded[0]
    if box := item.property(b"hvcC"):
        chroma, is_deep = _hevc_planes(data, box)
    elif box := item.property(b"av1C"):
        # AV1 Codec ISO Media File Format Binding, 2.3: high bit depth, 12 bits, grey, halved across, halved down.
        flags = data[box.start + 2]
        chroma, is_deep = 0 if flags & 16 else 3 - (flags >> 3 & 1) - (flags >> 2 & 1), bool(flags & 64)
    else:
        raise UndecodableImage(DAMAGED)
    return _VALUES[chroma] * (2 if is_deep else 1)


def _is_deep_grey(data: bytes, item: Item) -> bool:
    """Whether a coded HEVC image says that it has no colours, and more than 8 bits.

    libheif 1.23 with pi-heif 1.4 writes beyond its memory if that is not true of the coded data, which have a header of
    their own. With colours it converts them by that header.
    """
    box = item.property(b"hvcC")
    return box is not None and _hevc_planes(data, box) == (0, True)


def _hevc_planes(data: bytes, box: Box) -> tuple[int, bool]:
    """The chroma format, and whether there are more than 8 bits, by a decoder's configuration (ISO/IEC 14496-15,
    8.3.3.1).
    """
    return data[box.start + 16] & 3, any(each & 7 for each in data[box.start + 17 : box.start + 19])


def _transformations(item: Item) -> list[Box]:
    return [box for box in item.properties if box.kind in _TRANSFORMATIONS]


def _coded_pixels(data: bytes, name: str, picture: Picture) -> int:
    """Return the number of pixels that are decoded for a picture, and check its grid (ISO/IEC 23008-12, 6.6.2.3)."""
    width, height = read_size(data, picture.item)
    if not picture.tiles:
        return width * height
    grid = picture.item.content(data)
    layout = struct.Struct(">4B2I" if grid[1] & 1 else ">4B2H")
    _, _, rows, columns, grid_width, grid_height = layout.unpack_from(grid)
    rows, columns = rows + 1, columns + 1
    sizes = {read_size(data, tile) for tile in picture.tiles}
    if len(sizes) != 1 or len(picture.tiles) != rows * columns or (grid_width, grid_height) != (width, height):
        raise UndecodableImage(DAMAGED)
    if any(_transformations(tile) for tile in picture.tiles):
        raise _unsupported(name, "turned tiles")
    tile_width, tile_height = sizes.pop()
    # Only the last tiles may reach over the border.
    if not (tile_width * (columns - 1) < width <= tile_width * columns):
        raise UndecodableImage(DAMAGED)
    if not (tile_height * (rows - 1) < height <= tile_height * rows):
        raise UndecodableImage(DAMAGED)
    pixels: int = tile_width * columns * tile_height * rows
    return pixels


def _unsupported(format: str, what: str) -> UnsupportedKind:
    return UnsupportedKind(f"A file of the type {format} with {what} is not accepted; save it as a JPEG or PNG.")
