"""The result of an anonymization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.images.boxes import Box
from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class FoundBox:
    """A box that a detection pass found, in pixels of the upright original, and its confidence (0..1)."""

    box: Box
    confidence: float


@dataclass(frozen=True)
class FoundFace:
    """A face with its box in pixels of the upright original and the detector's confidence (0..1).

    `boxes` are all boxes that the detection passes found for it, most confident first. All of them are redacted, unless
    the face is `kept`, because the caller asked for that.
    """

    box: Box
    confidence: float
    kept: bool = False
    boxes: tuple[FoundBox, ...] = ()


@dataclass(frozen=True)
class Anonymized:
    """An anonymized photo.

    `picture` is a file in the `format` of the original (JPEG, PNG, WebP or BMP) without metadata. `width` and `height`
    are its size in pixels, which is that of the upright original. `faces` has one entry for each face, largest first.
    `seconds` are the timings of the stages `wait`, `decode`, `detect`, `cover` and `encode`. `depth` is the number of
    bits of each channel: 16 if a PNG of 16 bits keeps them, otherwise 8. `cover` are the boxes that were redacted
    because the caller asked for that, inside the photo. `min_confidence` is the confidence threshold that was used.
    """

    width: int
    height: int
    format: str
    faces: tuple[FoundFace, ...]
    picture: bytes
    seconds: Mapping[str, float]
    depth: int = 8
    cover: tuple[Box, ...] = ()
    min_confidence: float = 0.0

    @property
    def redacted(self) -> int:
        """The number of redacted faces, with those of `cover`."""
        return sum(not face.kept for face in self.faces) + len(self.cover)

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types."""
        return {
            "image": {"width": self.width, "height": self.height, "format": self.format, "depth": self.depth},
            "faces": [
                {
                    **_as_json(face.box, face.confidence),
                    "kept": face.kept,
                    "boxes": [_as_json(found.box, found.confidence) for found in face.boxes],
                }
                for face in self.faces
            ],
            "cover": [list(box.corners) for box in self.cover],
            "min_confidence": round(self.min_confidence, 4),
            **origin_as_json(pack, self.seconds),
        }


def _as_json(box: Box, confidence: float) -> dict[str, Any]:
    return {"bbox": list(box.corners), "confidence": round(confidence, 4)}
