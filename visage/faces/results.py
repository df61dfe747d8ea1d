"""The result of an analysis, and its JSON for the service and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from visage.faces.face import Face
from visage.json_types import Corners, Count, JsonSchema, Milliseconds, Point, Probability, Side, as_json_types
from visage.packs.origin import ModelJson, milliseconds, model_json
from visage.packs.pack import Pack


@dataclass(frozen=True, kw_only=True)
class FaceJson:
    """A face. Probabilities have four decimals and landmarks one, which is finer than the accuracy of the nets."""

    bbox: Corners
    """x1, y1, x2, y2 in pixels of the upright original, within its borders."""
    confidence: Probability
    landmarks: Annotated[list[Point], JsonSchema(minItems=5, maxItems=5)] | None = None
    """Left eye, right eye, tip of the nose, left and right corner of the mouth: x and y in pixels of the upright
    original. Left is on the left in the picture of an upright face. Points may be outside the picture if its border
    cuts the face. Missing if the detector of the model pack gives none."""
    gender: str
    gender_confidence: Probability
    age: str
    """Label of the most probable age group."""
    age_range: tuple[Count, Count]
    """First and last year of that group."""
    age_confidence: Probability
    age_years: Annotated[float, JsonSchema(minimum=0)]
    """Expected age: the midpoints of the groups, weighted by their probabilities."""
    gender_probabilities: dict[str, Probability]
    """A probability for each label of the model pack, in its order."""
    age_probabilities: dict[str, Probability]
    """A probability for each label of the model pack, in its order."""


@dataclass(frozen=True)
class SizeJson:
    """Size of the upright original (EXIF orientation applied), in pixels."""

    width: Side
    height: Side


@dataclass(frozen=True)
class AnalysisTimingsJson:
    """Milliseconds of each stage. `cache` alone means that the result came from the cache."""

    cache: Milliseconds | None = None
    wait: Milliseconds | None = None
    decode: Milliseconds | None = None
    detect: Milliseconds | None = None
    attributes: Milliseconds | None = None
    annotate: Milliseconds | None = None
    encode: Milliseconds | None = None


@dataclass(frozen=True)
class AnalysisJson:
    """The faces in a photo."""

    image: SizeJson
    faces: list[FaceJson]
    """Largest first."""
    model: ModelJson
    timings_ms: AnalysisTimingsJson
    annotated_scale: Annotated[float, JsonSchema(exclusiveMinimum=0, maximum=1)]
    """Size of the annotated picture relative to the original; below 1 for a large photo, unless `detail` is `high`."""
    annotated_jpeg: Annotated[str, JsonSchema(contentEncoding="base64", contentMediaType="image/jpeg")] | None = None
    """The annotated picture; omitted with `annotated=false`."""


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
        """Return the result without its picture as JSON types, as `AnalysisJson` describes them."""
        content = AnalysisJson(
            image=SizeJson(self.width, self.height),
            faces=[_face_json(face) for face in self.faces],
            model=model_json(pack),
            timings_ms=AnalysisTimingsJson(**milliseconds(self.seconds)),
            annotated_scale=round(self.annotated_scale, 6),
        )
        return cast(dict[str, Any], as_json_types(content))


def face_as_json(face: Face) -> dict[str, Any]:
    """Return a face as JSON types, as `FaceJson` describes them. A face without landmarks has no such field."""
    return cast(dict[str, Any], as_json_types(_face_json(face)))


def _face_json(face: Face) -> FaceJson:
    points = face.landmarks.points if face.landmarks else None
    return FaceJson(
        bbox=face.box.corners,
        confidence=round(face.confidence, 4),
        landmarks=[(round(x, 1), round(y, 1)) for x, y in points] if points else None,
        gender=face.gender,
        gender_confidence=round(face.gender_confidence, 4),
        age=face.age,
        age_range=face.age_range,
        age_confidence=round(face.age_confidence, 4),
        age_years=round(face.age_years, 1),
        gender_probabilities={label: round(value, 4) for label, value in face.gender_probabilities.items()},
        age_probabilities={label: round(value, 4) for label, value in face.age_probabilities.items()},
    )
