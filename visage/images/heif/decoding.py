"""Decode HEIC with pi-heif and AVIF with Pillow. Both are optional, and loaded for the first such image."""

import io
import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.heif.essential import essential_heif
from visage.images.heif.header import read_crop, read_size
from visage.images.heif.items import read_still
from visage.images.image_header import UnsupportedKind

if TYPE_CHECKING:
    from types import ModuleType

Pixels = NDArray[np.uint8]

# What the decoders raise for damaged images depends on where they notice it.
_ERRORS = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, IndexError, struct.error)

_NO_AVIF = (
    "AVIF is not accepted here, because there is no Pillow that was built with it (pip install visage-faces[heif]); "
    "send the photo as JPEG or PNG."
)


def require_decoder(format: str) -> None:
    """Check that HEIC or AVIF can be decoded here.

    Raises:
        UnsupportedKind: the package that decodes it is not installed, or built without it.
    """
    _pi_heif() if format == "HEIC" else _avif_plugin()


def decode_heif(data: bytes, format: str) -> Pixels | None:
    """Decode a HEIC or AVIF to (h, w), (h, w, 3) BGR or (h, w, 4) BGRA uint8 in its own colours.

    It is cropped, but not turned. None if it is damaged. Its header must have been read.

    Raises:
        UndecodableImage: the coded data are damaged or do not fit the header.
    """
    still = read_still(data)
    try:
        content = essential_heif(data, still)
        pixels = _decode_heic(content) if format == "HEIC" else _decode_avif(content)
    except _ERRORS:
        return None
    width, height = read_size(data, still.colours.item)
    if pixels.shape[:2] != (height, width):
        return None
    crop = read_crop(data, still)
    if (crop.height, crop.width) == (height, width):
        return pixels
    return pixels[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width].copy()


def _decode_heic(data: bytes) -> Pixels:
    image = _pi_heif().open_heif(data, convert_hdr_to_8bit=True, bgr_mode=True)
    # The memory that an array would share ends with `image`.
    return np.array(image)


def _decode_avif(data: bytes) -> Pixels:
    # `Image.open` would compare the size with a limit of its own; ours was checked before.
    with _avif_plugin().AvifImageFile(io.BytesIO(data)) as image:
        pixels = np.asarray(image)
    # Otherwise its memory would be kept while the channels change places.
    del image
    if pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)  # type: ignore[return-value]


def _pi_heif() -> "ModuleType":
    try:
        import pi_heif  # noqa: PLC0415 (an optional dependency)
    except ImportError:
        raise UnsupportedKind(
            "HEIC is not accepted here, because the package pi-heif is not installed (pip install visage-faces[heif]); "
            "send the photo as JPEG."
        ) from None
    # A slot is one thread.
    pi_heif.options.DECODE_THREADS = 1
    module: ModuleType = pi_heif
    return module


def _avif_plugin() -> "ModuleType":
    try:
        from PIL import AvifImagePlugin  # noqa: PLC0415 (an optional dependency)
    except ImportError:
        raise UnsupportedKind(_NO_AVIF) from None
    if not AvifImagePlugin.SUPPORTED:
        raise UnsupportedKind(_NO_AVIF)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin
