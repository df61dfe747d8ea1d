"""What is found to be covered in a photo, and the answer: the photo with its faces covered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.images.boxes import Box
from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class Found:
    """A face that was found, with the detector's confidence (0..1), and whether it stays by the caller's wish."""

    box: Box
    confidence: float
    kept: bool = False


@dataclass(frozen=True)
class Search:
    """What the guard has found: the faces, each once, and every box to be covered, several a face."""

    faces: tuple[Found, ...]
    to_cover: tuple[Box, ...]


@dataclass(frozen=True)
class Anonymized:
    """A photo with its faces covered. Whatever may be a face is covered; `faces` tells of each once.

    `picture` is a file of the input's `format` (JPEG, PNG, WebP or BMP) and size, `width` and `height` upright, that
    was made from pixels alone. `seconds` tells where the time went: `wait`, `decode`, `detect`, `cover`, `encode`.
    """

    width: int
    height: int
    format: str
    faces: tuple[Found, ...]
    picture: bytes
    seconds: Mapping[str, float]

    @property
    def covered(self) -> int:
        """How many faces were covered."""
        return sum(not face.kept for face in self.faces)

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types."""
        return {
            "image": {"width": self.width, "height": self.height, "format": self.format},
            "faces": [
                {
                    "bbox": list(face.box.corners),
                    "confidence": round(face.confidence, 4),
                    "kept": face.kept,
                }
                for face in self.faces
            ],
            **origin_as_json(pack, self.seconds),
        }
