"""The facts about an image that its header tells."""

from dataclasses import dataclass

from visage.errors import UnsupportedType

ACCEPTED = "JPEG, PNG, WebP or BMP"


class UnsupportedKind(UnsupportedType):
    """The image has an accepted format, but is of a rare kind that is not decoded."""


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image.

    `format` is JPEG, PNG, WebP or BMP. `width` and `height` are in pixels as stored. `orientation` is that of EXIF, 1
    to 8; 1 is upright. `bytes_per_pixel` is the most memory that decoding takes for each pixel, in bytes. OpenCV holds
    the pixels twice while it hands them to Python: 6 bytes for 3 channels of 8 bits.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    has_alpha: bool = False
    bytes_per_pixel: int = 6

    @property
    def decoding_bytes(self) -> int:
        """The most memory that decoding takes, in bytes."""
        return self.width * self.height * self.bytes_per_pixel

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after the orientation is applied; 5 to 8 swap them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
