"""The header of a JPEG, from its segments."""

import re
import struct
from collections.abc import Iterator

from visage.errors import UndecodableImage
from visage.images.exif import exif_orientation
from visage.images.image_header import ImageHeader, UnsupportedKind

# libjpeg processes the whole image for each scan, and a scan may have only 74 bytes: 10 MB of scans would take it 15
# minutes. Encoders write about ten scans.
_MAX_SCANS = 100

# Segments before the first scan. Cameras write about twenty; an ICC profile or XMP of 10 MB takes 160.
_MAX_SEGMENTS = 5000

# Markers of the whole image, without restarts: these segments, and 50 for each scan. Encoders write about three.
_MAX_MARKERS = _MAX_SEGMENTS + 50 * _MAX_SCANS

# A marker, wherever libjpeg looks for the next one: it skips bytes between segments, fill bytes, and FF 00.
_NEXT_MARKER = re.compile(rb"\xff([^\0\xff])")

# A marker with a length, or the end of the image. 00 (a stuffed FF), TEM (01) and restarts (D0 to D7) have no length
# (ITU T.81, table B.1).
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")

# SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC), which share the range (ITU T.81, table B.1). Only the first
# three are in use: baseline, extended and progressive.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2


def read_jpeg_header(data: bytes) -> ImageHeader:
    orientation, frame, buffered, sampled = None, None, False, 0.0
    for marker, start, end in jpeg_segments(data):
        # Viewers use the first Exif segment. Others continue a long one, or are left over from editing.
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0" and orientation is None:
            orientation = exif_orientation(data[start + 6 : end])
        elif marker in _FRAMES:
            if frame:
                raise UndecodableImage("The JPEG has two frames; send the original file.")
            _reject_unusual(marker, data[start])
            frame = (marker, *struct.unpack_from(">HHB", data, start + 1))
            sampled = _sampled(data[start + 6 : end], frame[3])
        # Most images are baseline with all components in the first scan; libjpeg then reads no other scan.
        elif marker == 0xDA and frame and (frame[0] == _PROGRESSIVE or data[start] < frame[3]):
            buffered = True
            _limit_scans(data)
    if not frame:
        raise UndecodableImage("The JPEG contains no image; send the whole file.")
    _, height, width, components = frame
    # The result has 3 bytes, of OpenCV twice; the inks of CMYK have 4, once.
    channels = max(3, components)
    # Until libjpeg has all scans, it keeps 16 bits for each value, also for a reduced image.
    held = 2 * sampled if buffered else 0
    bytes_per_pixel = max(3 + channels, held + channels)
    return ImageHeader(
        "JPEG", width, height, orientation or 1, bytes_per_pixel=bytes_per_pixel, held_bytes_per_pixel=held
    )


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the payload of each segment up to the head of the first scan."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        found = _NEXT_MARKER.search(data, at)
        if not found:
            raise IndexError
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return
        if marker == 0xD8:
            raise UndecodableImage("The JPEG is damaged in its header; send the original file.")
        # TEM and restarts have no length, so libjpeg reads on behind them.
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        end = at + max(2, length)
        yield marker, at + 2, end
        if marker == 0xDA:
            return
        at = end
    raise UndecodableImage("The JPEG has too many segments before its image; save it again and send that.")


def end_of_jpeg(data: bytes) -> int:
    """Return the offset of the marker that ends the image, or the length of the data if there is none.

    Raises:
        UndecodableImage: there are too many segments.
    """
    return next((at for marker, at in _markers(data) if marker == b"\xd9"), len(data))


def ends_in_first_progressive_scan(data: bytes) -> bool:
    """Whether a JPEG whose header is valid is progressive and has one scan only: all rows, but in little detail."""
    is_progressive, at = False, 0
    for marker, start, _ in jpeg_segments(data):
        is_progressive, at = is_progressive or marker == _PROGRESSIVE, start
    return is_progressive and data.find(b"\xff\xda", at, end_of_jpeg(data)) < 0


def _sampled(components: bytes, count: int) -> float:
    """The number of values of all components for each pixel: 1.5 for a colour image whose chroma has half the size.

    `components` are those of the frame: three bytes each, of which the second has the sampling factors.
    """
    factors = [(each >> 4, each & 15) for each in components[1::3][:count]]
    if not count or len(factors) < count or not all(across and down for across, down in factors):
        # The decoder rejects the image.
        return count
    largest = max(across for across, _ in factors) * max(down for _, down in factors)
    return sum(across * down for across, down in factors) / largest


def _reject_unusual(frame: int, precision: int) -> None:
    if frame in (0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        kind = "arithmetic coding"
    elif frame > _PROGRESSIVE:
        kind = "lossless or hierarchical coding"
    elif precision != 8:
        kind = f"{precision} bits per channel"
    else:
        return
    raise UnsupportedKind(f"A JPEG with {kind} is not accepted; save it as an ordinary JPEG.")


def _limit_scans(data: bytes) -> None:
    # Some may be in thumbnails or after the image, so follow the markers as libjpeg does.
    if data.count(b"\xff\xda") <= _MAX_SCANS:
        return
    scans = 0
    for marker, _ in _markers(data):
        scans += marker == b"\xda"
        if scans > _MAX_SCANS:
            raise UndecodableImage(f"The JPEG has more than {_MAX_SCANS} scans; save it again and send that.")
        if marker == b"\xd9":
            return


def _markers(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each marker that has a length or ends the image, and its offset."""
    at = 2
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(data, at)
        if not found:
            return
        yield found[1], found.start()
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    raise UndecodableImage("The JPEG has too many segments; save it again and send that.")
