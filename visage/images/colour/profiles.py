"""Find the ICC profile in an image file, without decoding the image.

Where it is: in JPEG as in ICC.1:2022, B.4, in TIFF as in B.2; in PNG as in the PNG specification, 11.3.2.3; in WebP as
in RFC 9649, 2.7; in HEIC and AVIF as in ISO/IEC 14496-12, 12.1.5.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from visage.images.colour.nclx import nclx_profile
from visage.images.heif.items import read_still
from visage.images.jpeg import jpeg_segments
from visage.images.png import png_chunks
from visage.images.tiff.directory import read_directory
from visage.images.tiff.header import CHANNELS, ICC_PROFILE, read_layout
from visage.images.webp import webp_chunks

# The largest profile in bytes. Those of presses have 0.5 to 3 MB; a PNG could unpack a thousand times its size.
_MAX_BYTES = 4 * 2**20

_JPEG_MARK = b"ICC_PROFILE\0"

# Colour types of PNG without colour: grey, and grey with alpha (PNG, 11.2.1).
_PNG_GREY = (0, 4)

# The flag in the header of an extended WebP that says that there is a profile.
_WEBP_HAS_PROFILE = 0x20


@dataclass(frozen=True)
class EmbeddedProfile:
    """The ICC profile of an image, as bytes, and how many channels the image stores: 1, 3 or 4, without alpha."""

    data: bytes
    channels: int


def find_profile(data: bytes, format: str) -> EmbeddedProfile | None:
    """Return the ICC profile of the image `data`, or None. `format` and a valid header come from `read_header`.

    A profile that is incomplete or damaged as part of the file counts as none, as in browsers.
    """
    find = _FINDERS.get(format)
    return find(data) if find else None


def _find_in_jpeg(data: bytes) -> EmbeddedProfile | None:
    channels, parts, count = 0, dict[int, tuple[int, int]](), 0
    for marker, start, end in jpeg_segments(data):
        if marker == 0xE2 and data.startswith(_JPEG_MARK, start) and end - start >= 14:
            number, count = data[start + 12], data[start + 13]
            if number in parts:
                return None
            parts[number] = (start + 14, end)
        # SOF0 to SOF15, without DHT, JPG and DAC (ITU T.81, table B.1).
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            channels = data[start + 5]
    if not parts or sorted(parts) != list(range(1, count + 1)):
        return None
    if sum(end - start for start, end in parts.values()) > _MAX_BYTES:
        return None
    return EmbeddedProfile(b"".join(data[slice(*parts[number])] for number in sorted(parts)), channels)


def _find_in_png(data: bytes) -> EmbeddedProfile | None:
    for kind, start, end in png_chunks(data):
        # A profile does not get longer when it is packed.
        if kind == b"IDAT" or (kind == b"iCCP" and end - start > _MAX_BYTES):
            break
        if kind == b"iCCP":
            content, (checksum,) = data[start + 8 : end - 4], struct.unpack_from(">I", data, end - 4)
            profile = _unpacked(content.partition(b"\0")[2][1:])
            if checksum == zlib.crc32(kind + content) and profile:
                return EmbeddedProfile(profile, 1 if data[25] in _PNG_GREY else 3)
            break
    return None


def _unpacked(packed: bytes) -> bytes | None:
    """Unpack zlib data. None if it is damaged, cut short, or more than a profile may have."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(packed, _MAX_BYTES)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None


def _find_in_webp(data: bytes) -> EmbeddedProfile | None:
    if data[12:16] != b"VP8X" or not data[20] & _WEBP_HAS_PROFILE:
        return None
    for kind, start, end in webp_chunks(data):
        if kind == b"ICCP":
            return EmbeddedProfile(data[start:end], 3) if start < end <= min(len(data), start + _MAX_BYTES) else None
    return None


def _find_in_heif(data: bytes) -> EmbeddedProfile | None:
    """The profile, or one for the numbers that stand in its place; of both, as in browsers, the profile."""
    named = None
    picture = read_still(data).colours
    # Some encoders give the profile to the tiles only.
    for box in (*picture.item.properties, *picture.coded[0].properties):
        if box.kind != b"colr":
            continue
        kind = data[box.start : box.start + 4]
        if kind in (b"prof", b"rICC"):
            return EmbeddedProfile(data[box.start + 4 : box.end], 3) if box.size <= _MAX_BYTES else None
        if kind == b"nclx" and box.size >= 8 and named is None:
            named = nclx_profile(*struct.unpack_from(">HH", data, box.start + 4))
    return EmbeddedProfile(named, 3) if named else None


def _find_in_tiff(data: bytes) -> EmbeddedProfile | None:
    directory = read_directory(data)
    profile = directory.bytes(ICC_PROFILE, _MAX_BYTES)
    return EmbeddedProfile(profile, CHANNELS[read_layout(directory).photometric]) if profile else None


_FINDERS: dict[str, Callable[[bytes], EmbeddedProfile | None]] = {
    "JPEG": _find_in_jpeg,
    "PNG": _find_in_png,
    "WebP": _find_in_webp,
    "HEIC": _find_in_heif,
    "AVIF": _find_in_heif,
    "TIFF": _find_in_tiff,
}
