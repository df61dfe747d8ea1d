"""The result of an analysis, and its JSON for the service and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.faces.face import Face
from visage.packs.origin import origin_as_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class Analysis:
    """The faces in a photo.

    `width` and `height` are the size of the upright original in pixels. `faces` are sorted by size, largest first.
    `annotated` is a JPEG with the faces marked, or None if it was not requested; `annotated_scale` is its size over
    that of the original. `seconds` are the timings of the stages `wait`, `decode`, `detect`, `attributes`, `annotate`
    and `encode`, with a cache also `cache`. A result from the cache is `cached` and has the stage `cache` only.
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
    """Return a face as JSON types. A face without landmarks has no such field.

    Probabilities have four decimals and landmarks one, which is finer than the accuracy of the nets.
    """
    points = face.landmarks.points if face.landmarks else None
    return {
        "bbox": list(face.box.corners),
        "confidence": round(face.confidence, 4),
        **({"landmarks": [[round(x, 1), round(y, 1)] for x, y in points]} if points else {}),
        "gender": face.gender,
        "gender_confidence": round(face.gender_confidence, 4),
        "age": face.age,
        "age_range": list(face.age_range),
        "age_confidence": round(face.age_confidence, 4),
        "age_years": round(face.age_years, 1),
        "gender_probabilities": {label: round(value, 4) for label, value in face.gender_probabilities.items()},
        "age_probabilities": {label: round(value, 4) for label, value in face.age_probabilities.items()},
    }
