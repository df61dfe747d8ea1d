"""Image headers: type, size, orientation and transparency, read before any decoder runs.

File names and declared types are ignored. Nothing is decoded, so an image of 50,000 x 50,000 pixels costs no more than
a small one.
"""

import re
import struct
from collections.abc import Callable

from visage.errors import UndecodableImage, UnsupportedType
from visage.images.bmp import read_bmp_header
from visage.images.heif.header import read_heif_header
from visage.images.image_header import ACCEPTED, ImageHeader, UnsupportedKind
from visage.images.jpeg import read_jpeg_header
from visage.images.png import read_png_header
from visage.images.tiff.header import read_tiff_header
from visage.images.webp import read_webp_header

__all__ = ["ImageHeader", "is_image", "read_header"]

# Magic bytes of types that users send by mistake, so that the error can name the type.
_REJECTED: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("JPEG XL", re.compile(rb"\0\0\0\x0cJXL |\xff\x0a")),
    ("PDF", re.compile(rb"\s*%PDF-")),
    ("SVG", re.compile(rb"(?s)(?:\xef\xbb\xbf)?\s*<(?:\?xml.{0,512}?<svg|!--.{0,512}?<svg|!DOCTYPE svg|svg)\b")),
    ("ZIP", re.compile(rb"PK\x03\x04")),
)

_NOT_IMAGES = ("PDF", "ZIP")

# Brands of HEIF (ISO/IEC 23008-12, annex B) and of AVIF. TIFF and BigTIFF.
_HEIF = re.compile(rb"(?s:....)ftyp(?:hei[cxms]|hev[cxms]|mif[12]|msf1|miaf|avi[fs])")
_TIFF = re.compile(rb"II[*+]\0|MM\0[*+]")


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
    except (UndecodableImage, UnsupportedKind):
        return True
    except UnsupportedType:
        return any(magic.match(data) for name, magic in _REJECTED if name not in _NOT_IMAGES)
    return True


def converted_format(start: bytes) -> str | None:
    """Return the format in which a file that starts like this is written, if that is not its own."""
    return "JPEG" if _HEIF.match(start) else "PNG" if _TIFF.match(start) else None


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], ImageHeader]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), read_jpeg_header),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), read_png_header),
    (re.compile(rb"(?s)RIFF....WEBP"), read_webp_header),
    (re.compile(rb"BM"), read_bmp_header),
    (_HEIF, read_heif_header),
    (_TIFF, read_tiff_header),
)
