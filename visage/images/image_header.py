"""The facts about an image that its header tells."""

from dataclasses import dataclass

ACCEPTED = "JPEG, PNG, WebP or BMP"


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image.

    `format` is JPEG, PNG, WebP or BMP. `width` and `height` are in pixels as stored. `orientation` is that of EXIF, 1
    to 8; 1 is upright.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    has_alpha: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height after the orientation is applied; 5 to 8 swap them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)
