"""Image headers: type, size, orientation and transparency, read before any decoder runs.

File names and declared types are ignored. Nothing is decoded, so an image of 50,000 x 50,000 pixels costs no more than
a small one.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from visage.errors import UndecodableImage, UnsupportedType

ACCEPTED = "JPEG, PNG, WebP or BMP"

# Magic bytes of types that users send by mistake, so that the error can name the type.
_REJECTED: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("TIFF", re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+")),
    ("HEIC", re.compile(rb"(?s:....)ftyp(?:hei[cxms]|hev[cxm]|mif1|msf1)")),
    ("AVIF", re.compile(rb"(?s:....)ftypavi[fs]")),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\0\0\0\x0cJXL |\xff\x0a")),
    ("PDF", re.compile(rb"\s*%PDF-")),
    ("SVG", re.compile(rb"(?s)(?:\xef\xbb\xbf)?\s*<(?:\?xml.{0,512}?<svg|!--.{0,512}?<svg|!DOCTYPE svg|svg)\b")),
    ("ZIP", re.compile(rb"PK\x03\x04")),
)

_NOT_IMAGES = ("PDF", "ZIP")

# libjpeg processes the whole image for each scan, and a scan may have only 74 bytes: 10 MB of scans would take it 15
# minutes. Encoders write about ten scans.
_MAX_SCANS = 100

# Segments before the first scan. Cameras write about twenty; an ICC profile or XMP of 10 MB takes 160.
_MAX_SEGMENTS = 5000

_FILL = re.compile(rb"\xff+")

# A marker with a length, or the end of the image. 00 (a stuffed FF), TEM (01) and restarts (D0 to D7) have no length
# (ITU T.81, table B.1).
_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")

# Sizes of the BMP information header, one for each version (Windows SDK, wingdi.h; 12 is OS/2 1.x).
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image.

    `format` is JPEG, PNG, WebP or BMP. `width` and `height` are in pixels as stored. `orientation` is that of EXIF, 1
    to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    has_alpha: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after the orientation is applied; 5 to 8 swap them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(data: bytes) -> ImageHeader:
    """Read the header of an image.

    Raises:
        UnsupportedType: the type is not accepted.
        UndecodableImage: the header is damaged.
    """
    for magic, read in _READERS:
        if magic.match(data):
            try:
                header = read(data)
            except (struct.error, IndexError):
                raise UndecodableImage("The image ends within its header; send the whole file.") from None
            if header.width < 1 or header.height < 1:
                raise UndecodableImage("The image has no pixels; send another file.")
            return header
    named = next((name for name, magic in _REJECTED if magic.match(data)), "This kind of file")
    raise UnsupportedType(f"{named} is not accepted; send the photo as {ACCEPTED}.")


def is_image(data: bytes) -> bool:
    """Whether a file is an image by its first bytes, of an accepted type or not."""
    try:
        read_header(data)
    except UndecodableImage:
        return True
    except UnsupportedType:
        return any(magic.match(data) for name, magic in _REJECTED if name not in _NOT_IMAGES)
    return True


def _read_jpeg(data: bytes) -> ImageHeader:
    orientation, frame = 1, None
    for marker, start, end in _jpeg_segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = _exif_orientation(data[start + 6 : end])
        # SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC), which share the range (ITU T.81, table B.1).
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = (marker, *struct.unpack_from(">HHB", data, start + 1))
        # Most images are baseline with all components in the first scan; libjpeg then reads no other scan.
        elif marker == 0xDA and frame and (frame[0] > 0xC1 or data[start] < frame[3]):
            _limit_scans(data)
    if not frame:
        raise UndecodableImage("The JPEG contains no image; send the whole file.")
    _, height, width, _ = frame
    return ImageHeader("JPEG", width, height, orientation)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the payload of each segment up to the head of the first scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        # Fill bytes may precede a marker (ITU T.81, B.1.1.2).
        fill = _FILL.match(data, at)
        if fill is None:
            break
        at = fill.end()
        marker = data[at]
        if marker == 0xD9:
            return
        # These have no length. A decoder would read what we skip, and might find another size there.
        if marker < 0x02 or 0xD0 <= marker <= 0xD8:
            break
        (length,) = struct.unpack_from(">H", data, at + 1)
        if length < 2:
            break
        yield marker, at + 3, at + 1 + length
        if marker == 0xDA:
            return
        at += 1 + length
    else:
        raise UndecodableImage("The JPEG has too many segments before its image; save it again and send that.")
    if at >= len(data):
        raise IndexError
    raise UndecodableImage("The JPEG is damaged in its header; send the original file.")


def _limit_scans(data: bytes) -> None:
    if data.count(b"\xff\xda") <= _MAX_SCANS:
        return
    # Some may be in thumbnails or after the image, so follow the markers as libjpeg does.
    scans, at = 0, 2
    while (found := _MARKER.search(data, at)) and found[1] != b"\xd9":
        scans += found[1] == b"\xda"
        if scans > _MAX_SCANS:
            raise UndecodableImage(f"The JPEG has more than {_MAX_SCANS} scans; save it again and send that.")
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])


def _read_png(data: bytes) -> ImageHeader:
    if data[12:16] != b"IHDR":
        raise UndecodableImage("The PNG is damaged in its header; send the original file.")
    width, height = struct.unpack_from(">II", data, 16)
    has_alpha = data[25] in (4, 6)  # colour types: grey with alpha, RGB with alpha (PNG, 11.2.2)
    orientation = 1
    for kind, start, end in png_chunks(data):
        if kind == b"IDAT":
            break
        if kind == b"tRNS":
            has_alpha = True
        if kind == b"eXIf":
            orientation = _exif_orientation(data[start + 8 : end - 4])
    return ImageHeader("PNG", width, height, orientation, has_alpha)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk up to IEND; start and end include the chunk's length and checksum.

    Raises:
        UndecodableImage: a chunk is longer than the rest of the data.
    """
    kind, end = b"", 8
    while kind != b"IEND":
        start = end
        length, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        end = start + 12 + length
        if end > len(data):
            raise UndecodableImage("The PNG is cut short; send the whole original file.")
        yield kind, start, end


def _read_webp(data: bytes) -> ImageHeader:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return ImageHeader("WebP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("WebP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1, bool(bits >> 28 & 1))
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        return ImageHeader("WebP", width, height, _webp_orientation(data), bool(data[20] & 0x10))
    raise UndecodableImage("The WebP is damaged in its header; send the original file.")


def _webp_orientation(data: bytes) -> int:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            content = data[at + 8 : at + 8 + length]
            return _exif_orientation(content.removeprefix(b"Exif\0\0"))
        at += 8 + length + (length & 1)
    return 1


def _read_bmp(data: bytes) -> ImageHeader:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size not in _BMP_HEADERS:
        raise UnsupportedType(f"This kind of file is not accepted; send the photo as {ACCEPTED}.")
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    # A negative height means that the first row is the top one (Windows SDK, BITMAPINFOHEADER).
    return ImageHeader("BMP", width, abs(height))


def _exif_orientation(tiff: bytes) -> int:
    """Return tag 0x0112 of the first directory of an EXIF block; 1 if it is missing or invalid (EXIF 2.3, 4.6.4)."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], ImageHeader]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _read_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _read_png),
    (re.compile(rb"(?s)RIFF....WEBP"), _read_webp),
    (re.compile(rb"BM"), _read_bmp),
)
