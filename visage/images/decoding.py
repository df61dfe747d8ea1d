"""Decode images: check limits, decode, convert to sRGB, apply the orientation, blend transparency with white."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import EmptyImage, ImageTooLarge, Limit, UndecodableImage
from visage.images.bmp import decode_masks
from visage.images.colour import Conversion, decode_cmyk, find_conversion, find_profile
from visage.images.headers import ImageHeader, read_header
from visage.images.heif.decoding import decode_heif
from visage.images.heif.decoding import require_decoder as require_heif_decoder
from visage.images.jpeg_rows import Bytes, decode_all_rows
from visage.images.png import essential_png, is_16_bit_png
from visage.images.tiff.decoding import decode_tiff
from visage.images.tiff.decoding import require_decoder as require_tiff_decoder
from visage.images.webp import Frame, first_frame

Pixels = NDArray[np.uint8]
T = TypeVar("T", bound=np.integer[Any])

_REDUCED_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# How to make a stored image upright, by EXIF orientation (EXIF 2.3, 4.6.4): a rotation, then a horizontal flip.
_ROTATIONS = {
    3: cv2.ROTATE_180,
    4: cv2.ROTATE_180,
    5: cv2.ROTATE_90_CLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_COUNTERCLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_FLIPPED = (2, 4, 5, 7)

# Longest side in pixels that OpenCV's JPEG encoder accepts (libjpeg, JPEG_MAX_DIMENSION).
MAX_SIDE = 65_500

# Longest side in pixels of a WebP, for its encoder too (RFC 6386, 9.1). Only the canvas of an animation may be larger.
_MAX_WEBP_SIDE = 16_383

# Number of pixels that are blended at a time. The 16-bit products of all would take 300 MB for 50 megapixels.
_PIXELS_PER_STRIP = 2**18

# Memory of a 16-bit image for each pixel. With alpha: 8 bytes as stored, 6 when blended, 3 for its 8-bit version, and 3
# for the strip that is blended, of an image of 9 megapixels (measured). Without: 6, 6 for a copy, 3, and 2 to spare.
_BYTES_PER_16_BIT_PIXEL = {True: 20, False: 17}


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    `pixels` are (h, w, 3) uint8 BGR in sRGB, upright, with transparency blended with white. `width` and `height` are
    the size of the upright original in pixels. `scale` is decoded size over original size: 1, or about 1/2, 1/4 or 1/8.
    """

    pixels: Pixels
    width: int
    height: int
    scale: float


def inspect(data: bytes, max_pixels: int, max_bytes: int | None = None, min_side: int | None = None) -> ImageHeader:
    """Read the header of an image and check its size before anything is decoded.

    `max_bytes` limits the memory that decoding takes, at the size that `decode` chooses for `min_side`.

    Raises:
        EmptyImage: there are no bytes.
        UnsupportedType: the image has none of the accepted formats, by its magic bytes, or cannot be decoded here.
        UndecodableImage: the header is damaged.
        ImageTooLarge: there are more than `max_pixels` pixels, decoding takes more than `max_bytes` bytes, or a side is
            longer than a JPEG or WebP allows.
    """
    if not data:
        raise EmptyImage("The image is empty; send the bytes of a photo.")
    header = read_header(data)
    _require_decoder(header.format)
    if header.width * header.height > max_pixels:
        raise ImageTooLarge(
            f"The image has {header.width} x {header.height} pixels; at most {max_pixels:,} in all are accepted. "
            "Send a smaller version.",
            limit=Limit.IMAGE_PIXELS,
        )
    needed = header.reduced_decoding_bytes(_reduction(header, min_side))
    if max_bytes is not None and needed > max_bytes:
        # A JPEG with one scan holds nothing.
        remedy = ", or a JPEG with one scan" if header.held_bytes_per_pixel else ""
        raise ImageTooLarge(
            f"Decoding this {header.format} of {header.width} x {header.height} pixels takes "
            f"{needed / 1e6:,.0f} MB of memory; at most {max_bytes / 1e6:,.0f} MB are allowed. "
            f"Send a smaller version{remedy}.",
            limit=Limit.MEMORY,
        )
    longest = max_side(header.format)
    if max(header.width, header.height) > longest:
        raise ImageTooLarge(
            f"The image has {header.width} x {header.height} pixels; no side may be longer than {longest:,}. "
            "Send a smaller version."
        )
    return header


def max_side(format: str) -> int:
    """The longest side of an image that is written in `format`, in pixels."""
    return _MAX_WEBP_SIDE if format == "WebP" else MAX_SIDE


def decode(data: bytes, header: ImageHeader, min_side: int | None = None) -> Photo:
    """Decode the image `data`, whose `header` comes from `inspect`.

    With `min_side`, an image is decoded at the smallest of the sizes 1/2, 1/4 and 1/8 at which its longer side has at
    least `min_side` pixels, if there is one.

    Raises:
        UndecodableImage: the image is cut short or damaged. Pixels of a damaged image are not returned.
    """
    reduction = _reduction(header, min_side)
    try:
        pixels = _imdecode(data, header, reduction)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UndecodableImage(f"The {header.format} is cut short or damaged; send the whole original file.")
    width, height = header.upright_size
    pixels = _upright(pixels, header.orientation)
    if reduction == 1 and pixels.shape[:2] != (height, width):
        raise UndecodableImage(f"The {header.format} has another size than its header says; send the original file.")
    return Photo(pixels, width, height, pixels.shape[1] / width if width >= height else pixels.shape[0] / height)


def decode_16_bit(data: bytes, header: ImageHeader, max_bytes: int) -> NDArray[np.uint16] | None:
    """Decode a PNG of 16 bits per channel to (h, w, 3) uint16 BGR, upright, blended with white as in `decode`.

    None for other images, for those whose colours must be converted, for damaged ones, and for those that need more
    memory than `max_bytes` with their 8-bit version and a copy.
    """
    if header.format != "PNG" or not is_16_bit_png(data):
        return None
    if _BYTES_PER_16_BIT_PIXEL[header.has_alpha] * header.width * header.height > max_bytes:
        return None
    if find_conversion(find_profile(data, "PNG")) is not None:
        return None
    flags = cv2.IMREAD_UNCHANGED if header.has_alpha else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        stored = cv2.imdecode(np.frombuffer(essential_png(data), np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if stored is None or stored.dtype != np.uint16:
        return None
    blended = _blend_16_bit_with_white(stored)
    # Turning needs memory of its own.
    del stored
    return _upright(blended, header.orientation)


def _require_decoder(format: str) -> None:
    if format == "TIFF":
        require_tiff_decoder()
    elif format in ("HEIC", "AVIF"):
        require_heif_decoder(format)


def _reduction(header: ImageHeader, min_side: int | None) -> int:
    # The decoders of the others have one size only.
    if min_side is None or header.has_alpha or header.format in ("HEIC", "AVIF", "TIFF"):
        return 1
    shorter, longer = sorted((header.width, header.height))
    # OpenCV rounds sides down, so 1/8 of 7 pixels would be none.
    return max(each for each in _REDUCED_FLAGS if each == 1 or (longer // each >= min_side and shorter >= each))


def _imdecode(data: bytes, header: ImageHeader, reduction: int) -> Pixels | None:
    """Decode to (h, w, 3) uint8 BGR in sRGB, as stored. None if the image is damaged."""
    conversion = find_conversion(find_profile(data, header.format))
    if header.format in ("HEIC", "AVIF"):
        stored = decode_heif(data, header.format)
        return None if stored is None else _in_srgb_on_white(stored, conversion)
    if header.format == "TIFF":
        return _decode_tiff(data, conversion)
    if conversion is not None and conversion.mode == "CMYK":
        return decode_all_rows(data, partial(_read_cmyk, conversion, reduction), by_profile=True)
    if header.format == "WebP" and (frame := first_frame(data)):
        return _decode_frame(frame, header, conversion)
    return _decode_still(data, header, reduction, conversion)


def _decode_still(data: bytes, header: ImageHeader, reduction: int, conversion: Conversion | None) -> Pixels | None:
    if header.format == "BMP" and (channels := decode_masks(data)) is not None:
        return _blend_with_white(channels, None)
    content = essential_png(data) if header.format == "PNG" else data
    if header.has_alpha:
        stored = _read(cv2.IMREAD_UNCHANGED, content)
        return None if stored is None else _blend_with_white(stored, conversion)
    # OpenCV 4.12 applies the orientation of JPEG and PNG but not of WebP, so `_upright` does it for all.
    read = partial(_read, _REDUCED_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)
    pixels = decode_all_rows(data, read) if header.format == "JPEG" else read(content)
    if pixels is not None and conversion is not None:
        conversion.apply(pixels)
    return pixels


def _decode_tiff(data: bytes, conversion: Conversion | None) -> Pixels | None:
    if conversion is not None and conversion.mode == "CMYK":
        return decode_tiff(data, conversion.convert_cmyk)
    stored = decode_tiff(data, None)
    return None if stored is None else _in_srgb_on_white(stored, conversion)


def _in_srgb_on_white(stored: Pixels, conversion: Conversion | None) -> Pixels:
    """Convert (h, w) or (h, w, 3 or 4) pixels to (h, w, 3) in sRGB; three channels may be changed in place."""
    if stored.ndim == 2 or stored.shape[2] != 3:
        return _blend_with_white(stored, conversion)
    if conversion is not None:
        conversion.apply(stored)
    return stored


def _read(flags: int, data: Bytes) -> Pixels | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)  # type: ignore[return-value]


def _read_cmyk(conversion: Conversion, reduction: int, data: Bytes) -> Pixels | None:
    inks = decode_cmyk(data, reduction)
    return None if inks is None else conversion.convert_cmyk(inks)


def _decode_frame(frame: Frame, canvas: ImageHeader, conversion: Conversion | None) -> Pixels | None:
    """Decode the first frame of an animation, on a white canvas."""
    header = read_header(frame.image)
    rows, columns = slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width)
    fits = rows.stop <= canvas.height and columns.stop <= canvas.width
    if not fits or (header.width, header.height) != (frame.width, frame.height):
        return None
    pixels = _decode_still(frame.image, header, 1, conversion)
    if pixels is None or pixels.shape[:2] == (canvas.height, canvas.width):
        return pixels
    whole = np.full((canvas.height, canvas.width, 3), 255, np.uint8)
    whole[rows, columns] = pixels
    return whole


def _blend_with_white(stored: NDArray[Any], conversion: Conversion | None) -> Pixels:
    """Convert (h, w) or (h, w, 3 or 4) uint8 or uint16 pixels to sRGB, and blend them with white.

    Returns (h, w, 3) uint8 BGR.
    """
    return _in_strips(stored, partial(_blend_strip, conversion), np.uint8)


def _blend_strip(conversion: Conversion | None, strip: NDArray[Any]) -> NDArray[Any]:
    if strip.dtype == np.uint16:
        strip = (strip >> 8).astype(np.uint8)
    if strip.ndim == 2:
        strip = cv2.cvtColor(strip, cv2.COLOR_GRAY2BGR)
    if conversion is not None:
        conversion.apply(strip)
    return strip if strip.shape[2] == 3 else _over_white(strip.astype(np.uint16), 255)


def _blend_16_bit_with_white(stored: NDArray[Any]) -> NDArray[np.uint16]:
    if stored.ndim == 2:
        return cv2.cvtColor(stored, cv2.COLOR_GRAY2BGR).astype(np.uint16, copy=False)
    if stored.shape[2] == 3:
        return stored
    return _in_strips(stored, lambda strip: _over_white(strip.astype(np.uint64), 65535), np.uint16)


def _in_strips(stored: NDArray[Any], blend: Callable[[NDArray[Any]], NDArray[Any]], dtype: type[T]) -> NDArray[T]:
    """Return (h, w, 3) pixels: what `blend` makes of strips of whole rows, one at a time."""
    height, width = stored.shape[:2]
    blended = np.empty((height, width, 3), dtype)
    rows = max(1, _PIXELS_PER_STRIP // width)
    for top in range(0, height, rows):
        blended[top : top + rows] = blend(stored[top : top + rows])
    return blended


def _over_white(pixels: NDArray[Any], white: int) -> NDArray[Any]:
    """Blend (h, w, 4) `pixels`, whose type has room for products of two channels, with `white`."""
    alpha = pixels[..., 3:]
    blended: NDArray[Any] = (pixels[..., :3] * alpha + white * (white - alpha) + white // 2) // white
    return blended


def _upright(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    if orientation in _ROTATIONS:
        pixels = cv2.rotate(pixels, _ROTATIONS[orientation])  # type: ignore[assignment]
    return cv2.flip(pixels, 1) if orientation in _FLIPPED else pixels  # type: ignore[return-value]
