"""The header of a JPEG, from its segments."""

import re
import struct
from collections.abc import Iterator

from visage.errors import UndecodableImage
from visage.images.exif import exif_orientation
from visage.images.image_header import ImageHeader

# libjpeg processes the whole image for each scan, and a scan may have only 74 bytes: 10 MB of scans would take it 15
# minutes. Encoders write about ten scans.
_MAX_SCANS = 100

# Segments before the first scan. Cameras write about twenty; an ICC profile or XMP of 10 MB takes 160.
_MAX_SEGMENTS = 5000

_FILL = re.compile(rb"\xff+")

# A marker with a length, or the end of the image. 00 (a stuffed FF), TEM (01) and restarts (D0 to D7) have no length
# (ITU T.81, table B.1).
_MARKER = re.compile(rb"\xff+([\x02-\xcf\xd8-\xfe])")


def read_jpeg_header(data: bytes) -> ImageHeader:
    orientation, frame, buffered = 1, None, False
    for marker, start, end in jpeg_segments(data):
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 6 : end])
        # SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC), which share the range (ITU T.81, table B.1).
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = (marker, *struct.unpack_from(">HHB", data, start + 1))
        # Most images are baseline with all components in the first scan; libjpeg then reads no other scan.
        elif marker == 0xDA and frame and (frame[0] > 0xC1 or data[start] < frame[3]):
            buffered = True
            _limit_scans(data)
    if not frame:
        raise UndecodableImage("The JPEG contains no image; send the whole file.")
    _, height, width, components = frame
    # The result has 3 bytes, of OpenCV twice; the inks of CMYK have 4, once. Until libjpeg has all scans, it also keeps
    # 16 bits for each value.
    bytes_per_pixel = 2 * components + max(3, components) if buffered else 0
    return ImageHeader("JPEG", width, height, orientation, bytes_per_pixel=max(3 + max(3, components), bytes_per_pixel))


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
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
