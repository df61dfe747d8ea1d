"""Anonymizing one photo: faces are redacted, and the result has pixels and no metadata."""

import io
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.anonymize.support import BOXES, FAST, MEDIA_TYPES, pixels_of, without
from tests.support.pictures import as_stored, encode, encode_16_bit, exif
from tests.support.tiny_pack import TINY_FACES
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.anonymize.options import AnonymizeOptions
from visage.faces.search import Detail
from visage.runtime.engine import Engine


def test_every_face_is_redacted_and_nothing_else_changes(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, FAST)

    assert sorted(TINY_FACES) == sorted(face.box.corners for face in anonymized.faces)
    assert anonymized.redacted == 3
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, *BOXES))


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("shape", Shape)
def test_faces_are_redacted_by_the_chosen_mask(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8], method: Method, shape: Shape
) -> None:
    mask = Mask(method, shape, 1.5)

    picture = engine.anonymize(tiny_png, AnonymizeOptions(mask, detail=Detail.FAST)).picture

    assert np.array_equal(pixels_of(picture), redact(tiny_photo, BOXES, mask))
    assert not np.array_equal(pixels_of(picture), tiny_photo)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_result_has_the_format_and_the_size_of_the_photo(
    engine: Engine, tiny_photo: NDArray[np.uint8], kind: str
) -> None:
    anonymized = engine.anonymize(encode(tiny_photo[:, :380], kind), FAST)

    picture = Image.open(io.BytesIO(anonymized.picture))
    assert (picture.format, picture.size) == (kind, (380, 384))
    assert anonymized.format.upper() == kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_result_is_upright_and_has_no_orientation_tag(
    engine: Engine, tiny_photo: NDArray[np.uint8], kind: str, orientation: int
) -> None:
    upright = tiny_photo[:, :380]
    stored = encode(as_stored(upright, orientation), kind, exif=b"Exif\0\0" + exif(orientation), quality=95)

    anonymized = engine.anonymize(stored, FAST)

    assert (anonymized.width, anonymized.height) == (380, 384)
    assert not Image.open(io.BytesIO(anonymized.picture)).getexif()
    shown = pixels_of(anonymized.picture).astype(int)
    assert np.abs(shown - without(upright, *BOXES)).mean() < 4


def metadata(photo: NDArray[np.uint8]) -> dict[str, Any]:
    """All metadata that a file can have, with a thumbnail of the original photo."""
    thumbnail = encode(cv2.resize(photo, (96, 96)).astype(np.uint8), "JPEG")
    block = Image.Exif()
    block[0x010E] = "grandmother at home"
    block.get_ifd(0x8825)[1] = "N"
    return {
        "exif": block.tobytes() + thumbnail,
        "icc_profile": b"profile of a camera" * 20,
        "xmp": b"<x:xmpmeta>grandmother</x:xmpmeta>",
        "comment": b"grandmother",
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_result_has_no_metadata(engine: Engine, tiny_photo: NDArray[np.uint8], kind: str) -> None:
    photo = encode(tiny_photo, kind, **metadata(tiny_photo))
    assert b"grandmother" in photo
    assert photo.count(b"\xff\xd8\xff") == (2 if kind == "JPEG" else 1)

    picture = engine.anonymize(photo, FAST).picture

    opened = Image.open(io.BytesIO(picture))
    opened.load()
    assert not {"exif", "icc_profile", "xmp", "comment"} & opened.info.keys()
    assert b"grandmother" not in picture
    assert b"profile" not in picture
    assert picture.count(b"\xff\xd8\xff") == (1 if kind == "JPEG" else 0)


def test_bytes_after_the_end_of_a_photo_are_dropped(engine: Engine, tiny_jpeg: bytes) -> None:
    # Phones append a film or the photo before it was edited.
    picture = engine.anonymize(tiny_jpeg + tiny_jpeg, FAST).picture

    assert picture.count(b"\xff\xd8\xff") == 1


def test_pixels_hidden_by_transparency_are_not_in_the_result(engine: Engine, tiny_photo: NDArray[np.uint8]) -> None:
    hidden = np.dstack([tiny_photo, np.full(tiny_photo.shape[:2], 255, np.uint8)])
    face = BOXES[1]
    hidden[face.y1 : face.y2, face.x1 : face.x2, 3] = 0

    anonymized = engine.anonymize(encode(hidden, "PNG"), FAST)

    shown = np.asarray(Image.open(io.BytesIO(anonymized.picture)))
    assert shown.shape == (384, 384, 3)
    assert (shown[face.y1 + 1 : face.y2 - 1, face.x1 + 1 : face.x2 - 1] == 255).all()


def test_a_photo_of_sixteen_bits_is_redacted_too(engine: Engine, tiny_photo: NDArray[np.uint8]) -> None:
    anonymized = engine.anonymize(encode_16_bit(tiny_photo), FAST)

    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, *BOXES))


def test_the_threshold_for_redacting_is_below_that_for_attributes(engine: Engine) -> None:
    assert engine.pack.face.redaction_confidence < engine.pack.face.min_confidence


def test_the_confidence_threshold_can_be_chosen(engine: Engine, tiny_png: bytes) -> None:
    assert {
        engine.anonymize(tiny_png, replace(FAST, min_confidence=threshold)).redacted for threshold in (0.99, 0.999, 1.0)
    } == {3, 1, 0}
