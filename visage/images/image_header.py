"""The facts about an image that its header tells."""

import math
from dataclasses import dataclass

from visage.errors import UnsupportedType

# OpenCV holds 3 channels twice; the inks of CMYK have 4 bytes and are converted to 3.
_REDUCED_BYTES_PER_PIXEL = 7

ACCEPTED = "JPEG, PNG, WebP or BMP, or as HEIC, AVIF or TIFF where their decoders are installed"


class UnsupportedKind(UnsupportedType):
    """The image has an accepted format, but is of a rare kind that is not decoded."""


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image.

    `format` is JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP. `width` and `height` are in pixels as stored. `orientation` is
    that of EXIF, 1 to 8; 1 is upright. `bytes_per_pixel` is the most memory that decoding takes for each pixel, in
    bytes. OpenCV holds the pixels twice while it hands them to Python: 6 bytes for 3 channels of 8 bits.
    `held_bytes_per_pixel` is the memory of each pixel that is needed even if the image is decoded at a reduced size:
    most decoders reduce pixels that they have decoded. `coded_pixels` are the pixels that are decoded, with those
    outside the image; 0 if there are none outside.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    has_alpha: bool = False
    bytes_per_pixel: float = 6
    held_bytes_per_pixel: float = 3
    coded_pixels: int = 0

    @property
    def decoding_bytes(self) -> int:
        """The most memory that decoding takes, in bytes."""
        return math.ceil(max(self.coded_pixels, self.width * self.height) * self.bytes_per_pixel)

    def reduced_decoding_bytes(self, reduction: int) -> int:
        """The most memory that decoding at 1/`reduction` of width and height takes, in bytes."""
        if reduction == 1:
            return self.decoding_bytes
        held = math.ceil(self.width * self.height * self.held_bytes_per_pixel)
        return held + math.ceil(self.width / reduction) * math.ceil(self.height / reduction) * _REDUCED_BYTES_PER_PIXEL

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after the orientation is applied; 5 to 8 swap them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
