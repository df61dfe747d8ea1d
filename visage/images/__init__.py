"""Images: headers, decoding and encoding, and the boxes and tiles in them."""

from visage.images.boxes import Box
from visage.images.decoding import Photo, Pixels, decode, inspect
from visage.images.encoding import MEDIA_TYPES, encode_as, encode_jpeg, written_format
from visage.images.headers import ImageHeader, read_header

__all__ = [
    "MEDIA_TYPES",
    "Box",
    "ImageHeader",
    "Photo",
    "Pixels",
    "decode",
    "encode_as",
    "encode_jpeg",
    "inspect",
    "read_header",
    "written_format",
]
