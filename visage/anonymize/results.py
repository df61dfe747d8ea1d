"""The result of an anonymization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.images.boxes import Box
from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class FoundFace:
    """A face with its box in pixels of the upright original and the detector's confidence (0..1).

    A `kept` face is not redacted, because the caller asked for that.
    """

    box: Box
    confidence: float
    kept: bool = False


@dataclass(frozen=True)
class Anonymized:
    """An anonymized photo.

    `picture` is a file in the `format` of the original (JPEG, PNG, WebP or BMP) without metadata. `width` and `height`
    are its size in pixels, which is that of the upright original. `faces` has one entry for each face, largest first.
    `seconds` are the timings of the stages `wait`, `decode`, `detect`, `cover` and `encode`. `depth` is the number of
    bits of each channel: 16 if a PNG of 16 bits keeps them, otherwise 8.
    """

    width: int
    height: int
    format: str
    faces: tuple[FoundFace, ...]
    picture: bytes
    seconds: Mapping[str, float]
    depth: int = 8

    @property
    def redacted(self) -> int:
        """The number of redacted faces."""
        return sum(not face.kept for face in self.faces)

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types."""
        return {
            "image": {"width": self.width, "height": self.height, "format": self.format, "depth": self.depth},
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
