"""The options and the result of enhancing an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class EnhanceOptions:
    """The options of an enhancement. There are none yet."""


@dataclass(frozen=True)
class Enhanced:
    """An image enhanced to `scale` times its width and height.

    `picture` is an encoded image in the input's `format` (JPEG, PNG, WebP or BMP), upright, without metadata. `width`
    and `height` are its size in pixels. `seconds` has the stages `wait`, `decode`, `enlarge` and `encode`.
    """

    width: int
    height: int
    format: str
    scale: int
    picture: bytes
    seconds: Mapping[str, float]

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types."""
        return {
            "image": {"width": self.width, "height": self.height, "format": self.format},
            "scale": self.scale,
            **origin_as_json(pack, self.seconds),
        }
