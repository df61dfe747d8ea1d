"""Convert colours to sRGB by the ICC profile of an image, with Little CMS as Pillow brings it.

Pillow is optional and loaded for the first image with a profile. Without it, and with a profile that cannot be used,
the numbers of an image are taken for sRGB.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.colour.profiles import EmbeddedProfile

if TYPE_CHECKING:
    from PIL import ImageCms
    from PIL.Image import Image

Pixels = NDArray[np.uint8]

# The colour space in the header of a profile (ICC.1:2022, table 19) and the channels of its images, by Pillow's mode.
# An RGB profile also applies to grey pixels, which browsers decode to RGB.
_SPACES: dict[bytes, tuple[str, tuple[int, ...]]] = {
    b"RGB ": ("RGB", (1, 3)),
    b"GRAY": ("L", (1,)),
    b"CMYK": ("CMYK", (4,)),
}

# Classes of devices whose profiles describe images: input, display, output and colour space (ICC.1:2022, table 18).
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")

# The largest difference to sRGB, in levels of 255, that is not converted: rounding alone makes one.
_MAX_ROUNDING = 1

# Levels of each channel at which a profile is compared with sRGB.
_PROBED_LEVELS = range(0, 256, 15)

# Profiles whose conversion is kept. Photos of one camera have the same; each takes up to some megabytes.
_KEPT_PROFILES = 8

# Pixels that are converted at a time: Pillow needs 4 bytes for each.
_STRIP_PIXELS = 2**20


@dataclass(frozen=True)
class Conversion:
    """The conversion of images with one profile to sRGB.

    `mode` is Pillow's name of what the image stores: `RGB`, `L` (grey) or `CMYK`.
    """

    mode: str
    _transform: "ImageCms.ImageCmsTransform"

    def apply(self, pixels: Pixels) -> None:
        """Convert (h, w, 3) BGR or (h, w, 4) BGRA uint8 `pixels` in place, and leave alpha as it is.

        Grey pixels have three equal channels. The mode must be `RGB` or `L`.
        """
        convert = self._grey_to_srgb if self.mode == "L" else self._rgb_to_srgb
        for strip in _strips(pixels):
            strip[..., :3] = convert(strip)

    def convert_cmyk(self, image: "Image") -> Pixels:
        """Return (h, w, 3) uint8 BGR for a decoded CMYK `image`."""
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        at = 0
        for strip in _strips(pixels):
            part = image.crop((0, at, image.width, at + len(strip)))
            strip[:] = self._converted(part)
            at += len(strip)
        return pixels

    def _rgb_to_srgb(self, strip: Pixels) -> Pixels:
        code = cv2.COLOR_BGR2RGB if strip.shape[2] == 3 else cv2.COLOR_BGRA2RGB
        return self._converted(_image(cv2.cvtColor(strip, code).astype(np.uint8, copy=False)))

    def _grey_to_srgb(self, strip: Pixels) -> Pixels:
        return self._converted(_image(np.ascontiguousarray(strip[..., 0])))

    def _converted(self, image: "Image") -> Pixels:
        from PIL import ImageCms  # noqa: PLC0415 (an optional dependency)

        srgb = ImageCms.applyTransform(image, self._transform)
        return cv2.cvtColor(np.asarray(srgb), cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


def find_conversion(profile: EmbeddedProfile | None) -> Conversion | None:
    """Return the conversion of images with this profile, or None if their numbers stay as they are.

    They stay without a profile, with that of sRGB, with one that is damaged or does not fit the image, and without
    Pillow.
    """
    if profile is None:
        return None
    mode, channels = _SPACES.get(profile.data[16:20], ("", ()))
    if profile.channels not in channels or profile.data[12:16] not in _CLASSES:
        return None
    return _find_conversion(profile.data, mode)


@lru_cache(_KEPT_PROFILES)
def _find_conversion(profile: bytes, mode: str) -> Conversion | None:
    try:
        from PIL import ImageCms  # noqa: PLC0415 (an optional dependency)

        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            # Perceptual, the first choice of browsers and the only one that most press profiles are made for.
            ImageCms.Intent.PERCEPTUAL,
        )
    except ImportError:
        return None
    # What Pillow raises for damaged profiles depends on where Little CMS notices it.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    conversion = Conversion(mode, transform)
    return None if mode != "CMYK" and _keeps_colours(conversion) else conversion


def _keeps_colours(conversion: Conversion) -> bool:
    """Whether the profile is one of sRGB: the conversion changes no colour by more than rounding does."""
    levels = np.array(_PROBED_LEVELS, np.uint8)
    if conversion.mode == "L":
        colours = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
    else:
        colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    converted = colours.copy()
    conversion.apply(converted)
    return int(cv2.absdiff(colours, converted).max()) <= _MAX_ROUNDING


def _strips(pixels: Pixels) -> Iterator[Pixels]:
    """Yield views of whole rows from top to bottom, of about `_STRIP_PIXELS` each."""
    rows = max(1, _STRIP_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        yield pixels[top : top + rows]


def _image(pixels: NDArray[np.uint8]) -> "Image":
    from PIL import Image  # noqa: PLC0415 (an optional dependency)

    return Image.fromarray(pixels)
