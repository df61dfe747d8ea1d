"""What the privacy guard is asked for and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visage.face_search import Detail
from visage.faces import Box
from visage.masks import Mask
from visage.packs import Pack

# A box that is to stay names a face if they share this part of their union. Whoever keeps a face has its box from an
# answer of ours, or draws one around it; one around several faces keeps none of them.
SAME_FACE = 0.4

# Of a face that stays, whatever lies inside its box to this part stays too: eyes or a mouth that were taken for faces.
PART_OF_FACE = 0.7


@dataclass(frozen=True)
class GuardOptions:
    """What the caller wants covered.

    `min_confidence` (0..1; the pack's own for the guard where None) is what a box needs to be covered. `keep` are boxes
    in pixels of the upright original whose faces stay as they are.
    """

    mask: Mask = field(default_factory=Mask)
    min_confidence: float | None = None
    keep: tuple[Box, ...] = ()
    detail: Detail = Detail.HIGH


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


def as_json(anonymized: Anonymized, pack: Pack) -> dict[str, Any]:
    """The answer without its picture, as plain data."""
    return {
        "image": {"width": anonymized.width, "height": anonymized.height, "format": anonymized.format},
        "faces": [
            {
                "bbox": [face.box.x1, face.box.y1, face.box.x2, face.box.y2],
                "confidence": round(face.confidence, 4),
                "kept": face.kept,
            }
            for face in anonymized.faces
        ],
        "model": {"pack": pack.name, "version": pack.version},
        "timings_ms": {stage: round(seconds * 1000, 2) for stage, seconds in anonymized.seconds.items()},
    }
