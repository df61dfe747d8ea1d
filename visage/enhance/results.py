"""What can be chosen of an enlargement, and the answer: a picture enlarged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class EnhanceOptions:
    """What can be chosen of how a picture is enlarged: nothing so far."""


@dataclass(frozen=True)
class Enhanced:
    """A picture enlarged `scale` times.

    `picture` is a file of the input's `format` (JPEG, PNG, WebP or BMP), `width` and `height` upright, that was made
    from pixels alone. `seconds` tells where the time went: `wait`, `decode`, `enlarge`, `encode`.
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
