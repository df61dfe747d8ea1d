"""The header of a TIFF: which kinds are accepted, and where their pixels are (TIFF 6.0 and its supplements)."""

from dataclasses import dataclass

from visage.errors import UndecodableImage
from visage.images.image_header import ImageHeader, UnsupportedKind
from visage.images.tiff.directory import DAMAGED, Directory, read_directory

# Tags (TIFF 6.0, section 8; the last two: Adobe's DNG specification and ICC.1:2022, B.2).
SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES, PLANES, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
COLOURS, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, FORMAT = 320, 322, 323, 324, 325, 338, 339
DNG_VERSION, ICC_PROFILE = 50706, 34675

# Compressions that are decoded, without loss. Those of fax machines are for documents; the rest are rare, or decoders
# of their own (JPEG, WebP, LERC, ...).
RAW, LZW, DEFLATE, OLD_DEFLATE, PACK_BITS = 1, 5, 8, 32946, 32773
_COMPRESSIONS = (RAW, LZW, DEFLATE, OLD_DEFLATE, PACK_BITS)
_COMPRESSION_NAMES = {2: "fax", 3: "fax", 4: "fax", 6: "JPEG", 7: "JPEG", 34712: "JPEG 2000", 50000: "Zstandard"}
_COMPRESSION_NAMES |= {34925: "LZMA", 34887: "LERC", 50001: "WebP", 34676: "LogLuv", 34677: "LogLuv"}

# What the channels mean (PhotometricInterpretation), their number, and the bits that each may have.
WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
CHANNELS = {WHITE_IS_0: 1, BLACK_IS_0: 1, RGB: 3, PALETTE: 1, CMYK: 4}
_DEPTHS = {
    WHITE_IS_0: (1, 2, 4, 8, 16),
    BLACK_IS_0: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8, 16),
}
_PHOTOMETRIC_NAMES = {4: "a mask", 6: "YCbCr colours", 8: "Lab colours", 9: "Lab colours", 10: "Lab colours"}

# Meanings of one more channel (ExtraSamples): ignored, or transparency with colours multiplied by it or not.
IGNORED, PREMULTIPLIED, ALPHA = 0, 1, 2

# The most memory that decoding takes for each pixel, in bytes, beside the stored channels (measured with Pillow 13).
_BYTES_PER_PIXEL = {WHITE_IS_0: 7, BLACK_IS_0: 7, RGB: 12, PALETTE: 12, CMYK: 14}
_MORE_WITH_ALPHA = 4

# Depths and colours that may have one more channel: grey, RGB, and RGB with 16 bits.
_WITH_EXTRA = ((8, BLACK_IS_0), (8, RGB), (16, RGB))

# Strips and tiles. This is enough for strips of one row, in four planes, up to the longest side that is accepted
# (65,500), and for 200 megapixels in tiles of 32 x 32.
_MAX_PARTS = 2**18

# Colour filters and linear values of sensors (Adobe's DNG specification).
_RAW_PHOTOS = (32803, 34892)


@dataclass(frozen=True)
class Layout:
    """How the pixels of a TIFF are stored.

    `bits` has one channel, of which there are `samples`, with `extra` (empty or one value) in them. The parts are
    strips of `part_height` rows, or tiles of `part_width` as well; they start at `offsets` and have `lengths` bytes.
    """

    order: str
    width: int
    height: int
    bits: int
    compression: int
    photometric: int
    samples: int
    extra: tuple[int, ...]
    planes: int
    predictor: int
    colours: tuple[int, ...]
    is_tiled: bool
    part_width: int
    part_height: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def coded_pixels(self) -> int:
        """The number of pixels of all parts, with those outside the image."""
        if not self.is_tiled:
            return self.width * self.height
        across, down = -(-self.width // self.part_width), -(-self.height // self.part_height)
        return across * self.part_width * down * self.part_height


def read_tiff_header(data: bytes) -> ImageHeader:
    directory = read_directory(data)
    layout = read_layout(directory)
    has_alpha = layout.extra in ((PREMULTIPLIED,), (ALPHA,))
    orientation = directory.number(ORIENTATION, 1)
    return ImageHeader(
        "TIFF",
        layout.width,
        layout.height,
        orientation if 1 <= orientation <= 8 else 1,
        has_alpha,
        bytes_per_pixel=_BYTES_PER_PIXEL[layout.photometric]
        + layout.samples * layout.bits / 8
        + (_MORE_WITH_ALPHA if has_alpha else 0),
        coded_pixels=layout.coded_pixels,
    )


def read_layout(directory: Directory) -> Layout:
    """Find out how the pixels of a TIFF are stored.

    Raises:
        UnsupportedKind: it is of a rare kind.
        UndecodableImage: it is damaged, cut short, or has too many strips or tiles.
    """
    photometric = directory.number(PHOTOMETRIC, -1)
    compression = directory.number(COMPRESSION, RAW)
    _reject_unusual(directory, photometric, compression)
    bits, samples, extra = _channels(directory, photometric)
    width, height = directory.number(WIDTH, 0), directory.number(HEIGHT, 0)
    planes = directory.number(PLANES, 1)
    if planes == 2 and extra and photometric == BLACK_IS_0:
        raise _unsupported("grey and transparency apart")
    # One more than needed, so that a longer palette is noticed.
    colours = directory.numbers(COLOURS, 3 * 2**bits + 1) if photometric == PALETTE else ()
    if planes not in (1, 2) or (photometric == PALETTE and len(colours) != 3 * 2**bits):
        raise UndecodableImage(DAMAGED)
    is_tiled = TILES in directory.entries
    part_width = directory.number(TILE_WIDTH, 0) if is_tiled else width
    part_height = directory.number(TILE_HEIGHT, 0) if is_tiled else min(height, directory.number(ROWS, 2**32 - 1))
    # Tiles have a multiple of 16 pixels (TIFF 6.0, section 15).
    if min(width, height, part_width, part_height) < 1 or (is_tiled and (part_width % 16 or part_height % 16)):
        raise UndecodableImage(DAMAGED)
    count = -(-width // part_width) * -(-height // part_height) * (samples if planes == 2 else 1)
    if count > _MAX_PARTS:
        raise UndecodableImage("The TIFF has too many strips or tiles; save it again and send that.")
    offsets = directory.numbers(TILES if is_tiled else STRIPS, count)
    lengths = directory.numbers(TILE_BYTES if is_tiled else STRIP_BYTES, count)
    if len(offsets) < count or len(lengths) < count:
        raise UndecodableImage(DAMAGED)
    if any(offset + length > len(directory.data) for offset, length in zip(offsets, lengths, strict=True)):
        raise UndecodableImage("The TIFF is cut short; send the whole original file.")
    # Otherwise a small file could hold many copies of one large part.
    if sum(lengths) > len(directory.data):
        raise UndecodableImage("Parts of the TIFF overlap; save it again and send that.")
    return Layout(
        directory.order,
        width,
        height,
        bits,
        compression,
        photometric,
        samples,
        extra,
        planes,
        directory.number(PREDICTOR, 1),
        colours,
        is_tiled,
        part_width,
        part_height,
        offsets,
        lengths,
    )


def _reject_unusual(directory: Directory, photometric: int, compression: int) -> None:
    # Raw files of cameras are TIFFs whose first image is a thumbnail.
    is_reduced = directory.number(SUBFILE, 0) & 1
    if is_reduced or DNG_VERSION in directory.entries or photometric in _RAW_PHOTOS:
        raise UnsupportedKind("A raw file of a camera is not accepted; send the photo as JPEG.")
    if compression not in _COMPRESSIONS:
        name = _COMPRESSION_NAMES.get(compression)
        raise _unsupported(f"{name} compression" if name else f"compression {compression}")
    if photometric not in CHANNELS:
        raise _unsupported(_PHOTOMETRIC_NAMES.get(photometric, f"colours of the kind {photometric}"))
    if directory.number(FILL_ORDER, 1) != 1:
        raise _unsupported("reversed bits")
    if directory.number(PREDICTOR, 1) not in (1, 2):
        raise _unsupported(f"the predictor {directory.number(PREDICTOR, 1)}")


def _channels(directory: Directory, photometric: int) -> tuple[int, int, tuple[int, ...]]:
    """Return the bits of a channel, the number of channels, and the meanings of one that is more than needed."""
    samples = directory.number(SAMPLES, 1)
    extra = directory.numbers(EXTRA, 2)
    # Without a meaning, a fourth channel is transparency, as for Pillow.
    if not extra and samples == CHANNELS[photometric] + 1:
        extra = (ALPHA,)
    if samples != CHANNELS[photometric] + len(extra) or len(extra) > 1 or (extra and extra[0] > ALPHA):
        raise _unsupported(f"{samples} channels")
    if set(directory.numbers(FORMAT, samples, (1,))) != {1}:
        raise _unsupported("signed numbers or fractions")
    bits = set(directory.numbers(BITS, samples, (1,)))
    depth = bits.pop() if len(bits) == 1 else 0
    # Transparency is read where Pillow reads it.
    if depth not in _DEPTHS[photometric] or (extra and (depth, photometric) not in _WITH_EXTRA):
        raise _unsupported(f"{depth or 'mixed'} bits per channel and these colours")
    return depth, samples, extra


def _unsupported(what: str) -> UnsupportedKind:
    return UnsupportedKind(f"A TIFF with {what} is not accepted; save it with 8 bits per channel and LZW.")
