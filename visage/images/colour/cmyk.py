"""Decode a CMYK JPEG to its stored inks. OpenCV's decoder mixes them to RGB and knows no profile."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def decode_cmyk(data: bytes | bytearray, reduction: int) -> "Image | None":
    """Decode a CMYK JPEG with Pillow, at 1/`reduction` of its size (1, 2, 4 or 8). None if it is damaged.

    Pillow must be installed.
    """
    from PIL.JpegImagePlugin import JpegImageFile  # noqa: PLC0415 (an optional dependency)

    try:
        # `Image.open` would compare the size with a limit of its own; ours was checked before.
        image = JpegImageFile(io.BytesIO(data))
        # Sides are rounded up; half of each side and more would select a larger scale.
        image.draft("CMYK", (image.width // reduction, image.height // reduction))
        image.load()
    # What Pillow raises for damaged files depends on where it notices it.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError):
        return None
    return image if image.mode == "CMYK" else None
