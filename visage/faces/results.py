"""The answer to one photo, and the same as plain data: alike in every answer and on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.faces.face import Face
from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class Analysis:
    """The answer to one photo.

    `width` and `height` are those of the upright original, to which the faces' boxes refer. `annotated` is a JPEG at
    `annotated_scale` of the original's size, or None where it was not asked for. `seconds` tells where the time went:
    `wait`, `decode`, `detect`, `attributes`, `annotate`, `encode`; before them `cache`, where there is one. An answer
    that it knew is `cached`, and `cache` is all that it took.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    annotated: bytes | None
    annotated_scale: float
    seconds: Mapping[str, float]
    cached: bool = False

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types."""
        return {
            "image": {"width": self.width, "height": self.height},
            "faces": [face_as_json(face) for face in self.faces],
            **origin_as_json(pack, self.seconds),
            "annotated_scale": round(self.annotated_scale, 6),
        }


def face_as_json(face: Face) -> dict[str, Any]:
    """One face as plain data; probabilities with four decimals, more than the nets are worth."""
    return {
        "bbox": list(face.box.corners),
        "confidence": round(face.confidence, 4),
        "gender": face.gender,
        "gender_confidence": round(face.gender_confidence, 4),
        "age": face.age,
        "age_range": list(face.age_range),
        "age_confidence": round(face.age_confidence, 4),
        "age_years": round(face.age_years, 1),
        "gender_probabilities": {label: round(value, 4) for label, value in face.gender_probabilities.items()},
        "age_probabilities": {label: round(value, 4) for label, value in face.age_probabilities.items()},
    }
