"""The result of an anonymization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from visage.images.boxes import Box
from visage.json_types import (
    Base64,
    Corners,
    FileFormat,
    JsonSchema,
    Milliseconds,
    PhotoFormat,
    Probability,
    Side,
    as_json_types,
)
from visage.packs.origin import ModelJson, milliseconds, model_json
from visage.packs.pack import Pack


@dataclass(frozen=True)
class FoundBoxJson:
    """A box that a detection pass found."""

    bbox: Corners
    """x1, y1, x2, y2 in pixels of the upright original, within its borders."""
    confidence: Probability


@dataclass(frozen=True)
class FoundFaceJson:
    """A face that was found."""

    bbox: Corners
    """x1, y1, x2, y2 in pixels of the upright original, within its borders."""
    confidence: Probability
    kept: bool
    """Whether the face is left unchanged, as `keep` asked."""
    boxes: Annotated[list[FoundBoxJson], JsonSchema(minItems=1)]
    """All boxes that the detection passes found for this face, most confident first. Unless the face is kept, every one
    is redacted."""


@dataclass(frozen=True)
class AnonymizedImageJson:
    """Size and format of the picture. The size is that of the upright original."""

    width: Side
    height: Side
    format: FileFormat
    depth: Annotated[int, JsonSchema(enum=[8, 16])]
    """Bits of each channel of the picture: 16 if a PNG of 16 bits keeps them."""
    original_format: PhotoFormat
    """Format of the photo that was sent: a HEIC or AVIF is written as JPEG, a TIFF as PNG."""


@dataclass(frozen=True)
class AnonymizeTimingsJson:
    """Milliseconds of each stage."""

    wait: Milliseconds
    decode: Milliseconds
    detect: Milliseconds
    cover: Milliseconds
    encode: Milliseconds


@dataclass(frozen=True)
class AnonymizedJson:
    """An anonymized photo."""

    image: AnonymizedImageJson
    faces: list[FoundFaceJson]
    """Everything that the detector found, largest first. Nothing else is redacted but the boxes in `cover`."""
    cover: list[Corners]
    """The boxes of the parameter `cover`, within the borders of the photo: x1, y1, x2, y2."""
    min_confidence: Probability
    """The confidence threshold that was used."""
    model: ModelJson
    timings_ms: AnonymizeTimingsJson
    picture: Base64 | None = None
    """The photo with its faces redacted, in the `format` of `image`; omitted with `picture=false`."""


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

    `picture` is a file without metadata, of the `format` JPEG, PNG, WebP or BMP: that of the original, or a JPEG for an
    `original_format` of HEIC or AVIF, and a PNG for TIFF. `width` and `height` are its size in pixels, which is that of
    the upright original. `faces` has one entry for each face, largest first. `seconds` are the timings of the stages
    `wait`, `decode`, `detect`, `cover` and `encode`. `depth` is the number of bits of each channel: 16 if a PNG of 16
    bits keeps them, otherwise 8. `cover` are the boxes that were redacted because the caller asked for that, inside the
    photo. `min_confidence` is the confidence threshold that was used.
    """

    width: int
    height: int
    format: str
    faces: tuple[FoundFace, ...]
    picture: bytes
    seconds: Mapping[str, float]
    depth: int
    original_format: str
    cover: tuple[Box, ...] = ()
    min_confidence: float = 0.0

    @property
    def redacted(self) -> int:
        """The number of redacted faces, with those of `cover`."""
        return sum(not face.kept for face in self.faces) + len(self.cover)

    def as_json(self, pack: Pack) -> dict[str, Any]:
        """Return the result without its picture as JSON types, as `AnonymizedJson` describes them."""
        content = AnonymizedJson(
            image=AnonymizedImageJson(self.width, self.height, self.format, self.depth, self.original_format),
            faces=[_face_json(face) for face in self.faces],
            cover=[box.corners for box in self.cover],
            min_confidence=round(self.min_confidence, 4),
            model=model_json(pack),
            timings_ms=AnonymizeTimingsJson(**milliseconds(self.seconds)),
        )
        return cast(dict[str, Any], as_json_types(content))


def _face_json(face: FoundFace) -> FoundFaceJson:
    boxes = [FoundBoxJson(found.box.corners, round(found.confidence, 4)) for found in face.boxes]
    return FoundFaceJson(face.box.corners, round(face.confidence, 4), face.kept, boxes)
