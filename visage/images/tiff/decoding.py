"""Decode a TIFF with Pillow, which is optional and loaded for the first such image.

OpenCV has a decoder too, but it returns the pixels of a damaged image as if it were whole.
"""

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import UndecodableImage
from visage.images.image_header import UnsupportedKind
from visage.images.tiff import header as tags
from visage.images.tiff.directory import read_directory, write_directory
from visage.images.tiff.header import Layout, read_layout

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]

# What Pillow raises for damaged files depends on where it notices it.
_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error)


def require_decoder() -> None:
    """Check that TIFFs can be decoded here.

    Raises:
        UnsupportedKind: Pillow is not installed, or built without libtiff.
    """
    try:
        from PIL import features  # noqa: PLC0415 (an optional dependency)
    except ImportError:
        has_libtiff = False
    else:
        has_libtiff = features.check("libtiff") is True
    if not has_libtiff:
        raise UnsupportedKind(
            "TIFF is not accepted here, because there is no Pillow that was built with libtiff "
            "(pip install visage-faces[colour]); send the photo as JPEG or PNG."
        )


def decode_tiff(data: bytes, convert_inks: Callable[["Image"], Pixels] | None) -> Pixels | None:
    """Decode a TIFF to (h, w), (h, w, 3) BGR or (h, w, 4) BGRA uint8 in its own colours, as stored.

    Of 16 bits per channel the first 8 are kept. `convert_inks` converts the inks of CMYK; without it they are mixed as
    if they were ideal. None if the image is damaged. Its header must have been read.

    Raises:
        UndecodableImage: pixels are missing.
    """
    layout = read_layout(read_directory(data))
    try:
        pixels = _decode(essential_tiff(data, layout), convert_inks)
    except _ERRORS:
        return None
    if layout.photometric == tags.WHITE_IS_0:
        pixels = 255 - pixels
    return pixels if pixels.shape[:2] == (layout.height, layout.width) else None


def _decode(data: bytes, convert_inks: Callable[["Image"], Pixels] | None) -> Pixels:
    from PIL.TiffImagePlugin import TiffImageFile  # noqa: PLC0415 (an optional dependency)

    # `Image.open` would compare the size with a limit of its own; ours was checked before.
    image: Image = TiffImageFile(io.BytesIO(data))
    if image.mode == "CMYK" and convert_inks:
        return convert_inks(image)
    # Palettes and single bits become colours and grey; La has grey that is multiplied by its transparency.
    plain = {"P": "RGB", "CMYK": "RGB", "1": "L", "La": "LA"}.get(image.mode)
    pixels = np.asarray(image.convert(plain) if plain else image)
    # Otherwise its memory would be kept while the channels change places.
    del image
    if pixels.dtype != np.uint8:
        return (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 2:
        grey = pixels[..., :1]
        return np.concatenate((grey, grey, pixels), axis=2)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)  # type: ignore[return-value]


def essential_tiff(data: bytes, layout: Layout) -> bytes:
    """Return a TIFF with the pixels of the first image alone: no metadata, no other images, no profile.

    Raises:
        UndecodableImage: pixels are missing.
    """
    parts = [data[start : start + length] for start, length in zip(layout.offsets, layout.lengths, strict=True)]
    compression, predictor = layout.compression, layout.predictor
    if compression == tags.RAW:
        _check_raw(parts, layout)
        predictor = 1
        if layout.planes == 2:
            # Pillow itself reads planes of 16 bits wrongly; libtiff, which it calls for compressed ones, does not.
            parts, compression = [zlib.compress(part, level=0) for part in parts], tags.DEFLATE
    offsets, at = [], 8
    for part in parts:
        offsets.append(at)
        at += len(part)
    padding = bytes(at % 2)
    start = at + len(padding)
    lengths = tuple(len(part) for part in parts)
    coded = {tags.COMPRESSION: ("H", (compression,)), tags.PREDICTOR: ("H", (predictor,))}
    directory = write_directory(layout.order, _values(layout, tuple(offsets), lengths) | coded, start)
    head = data[:4] + struct.pack(f"{layout.order}I", start)
    return b"".join((head, *parts, padding, directory))


def _values(
    layout: Layout, offsets: tuple[int, ...], lengths: tuple[int, ...]
) -> dict[int, tuple[str, tuple[int, ...]]]:
    # Pillow does not invert all depths of white that is 0, so it is told that black is.
    photometric = tags.BLACK_IS_0 if layout.photometric == tags.WHITE_IS_0 else layout.photometric
    values: dict[int, tuple[str, tuple[int, ...]]] = {
        tags.WIDTH: ("I", (layout.width,)),
        tags.HEIGHT: ("I", (layout.height,)),
        tags.BITS: ("H", (layout.bits,) * layout.samples),
        tags.PHOTOMETRIC: ("H", (photometric,)),
        tags.SAMPLES: ("H", (layout.samples,)),
        tags.PLANES: ("H", (layout.planes,)),
    }
    if layout.extra:
        values[tags.EXTRA] = ("H", layout.extra)
    if layout.colours:
        values[tags.COLOURS] = ("H", layout.colours)
    if layout.is_tiled:
        values |= {tags.TILE_WIDTH: ("I", (layout.part_width,)), tags.TILE_HEIGHT: ("I", (layout.part_height,))}
        return values | {tags.TILES: ("I", offsets), tags.TILE_BYTES: ("I", lengths)}
    values[tags.ROWS] = ("I", (layout.part_height,))
    return values | {tags.STRIPS: ("I", offsets), tags.STRIP_BYTES: ("I", lengths)}


def _check_raw(parts: list[bytes], layout: Layout) -> None:
    row = -(-layout.part_width * layout.bits * (1 if layout.planes == 2 else layout.samples) // 8)
    down = -(-layout.height // layout.part_height)
    for number, part in enumerate(parts):
        rows = layout.part_height
        if not layout.is_tiled and number % down == down - 1:
            rows = layout.height - layout.part_height * (down - 1)
        if len(part) < rows * row:
            raise UndecodableImage("The TIFF is cut short; send the whole original file.")
