"""Anonymizing one photo: which faces are redacted or kept, and that the result has pixels and no metadata."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image
from werkzeug.test import TestResponse

from tests.support.pictures import as_stored, encode, encode_16_bit, exif
from tests.support.tiny_pack import TINY_FACES
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.anonymize.options import AnonymizeOptions
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.nets.detector import Detections, FaceDetector
from visage.runtime.engine import Engine

BOXES = [Box(*corners) for corners in TINY_FACES]

SOLID_BOXES = Mask(Method.SOLID, Shape.BOX, 1.0)

FAST = AnonymizeOptions(SOLID_BOXES, detail=Detail.FAST)

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp"}


def pixels_of(picture: bytes) -> NDArray[np.uint8]:
    """Decode with Pillow to (h, w, 3) uint8 BGR, without applying the orientation."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def without(pixels: NDArray[np.uint8], *boxes: Box) -> NDArray[np.uint8]:
    """Return a copy with black boxes."""
    blackened = pixels.copy()
    for box in boxes:
        blackened[box.y1 : box.y2, box.x1 : box.x2] = 0
    return blackened


def keeping(*boxes: tuple[int, int, int, int]) -> AnonymizeOptions:
    return AnonymizeOptions(SOLID_BOXES, keep=tuple(Box(*box) for box in boxes), detail=Detail.FAST)


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


def test_a_face_in_a_box_to_keep_is_not_redacted(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, keeping((250, 170, 340, 280)))

    assert [face.box for face in anonymized.faces if face.kept] == [Box(240, 176, 336, 272)]
    assert anonymized.redacted == 2
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, BOXES[0], BOXES[2]))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 384, 384), (0, 0, 40, 40), (48, 144, 144, 240)],
    ids=["around all faces", "outside all faces", "between two faces"],
)
def test_a_box_that_fits_no_face_keeps_none(engine: Engine, tiny_png: bytes, box: tuple[int, int, int, int]) -> None:
    assert engine.anonymize(tiny_png, keeping(box)).redacted == 3


HEAD, MOUTH, BEHIND = (0, 0, 100, 130), (20, 70, 80, 128), (45, 0, 145, 130)

Crowd = Callable[..., NDArray[np.bool_]]


@pytest.fixture
def crowd(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Return which of 200 x 200 pixels are redacted if the detector finds a head, its mouth and a person behind."""

    def redacted_pixels(confidences: tuple[float, float, float], *keep: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        found = Detections(np.array([HEAD, MOUTH, BEHIND], np.float32), np.array(confidences, np.float32))
        monkeypatch.setattr(FaceDetector, "detect", lambda *_: found)
        photo = encode(np.full((200, 200, 3), 200, np.uint8), "PNG")
        return np.asarray((pixels_of(engine.anonymize(photo, keeping(*keep)).picture) == 0).all(axis=2))

    return redacted_pixels


@pytest.mark.parametrize("confidences", [(0.7, 0.9, 0.6), (0.9, 0.7, 0.6), (0.6, 0.6, 0.9)])
def test_all_overlapping_boxes_are_redacted(crowd: Crowd, confidences: tuple[float, float, float]) -> None:
    redacted = crowd(confidences)

    assert redacted[0:130, 0:145].all()
    assert redacted.sum() == 130 * 145


def test_a_person_partly_behind_a_kept_face_is_redacted(crowd: Crowd) -> None:
    redacted = crowd((0.9, 0.7, 0.6), HEAD)

    assert redacted[0:130, 45:145].all()
    assert redacted.sum() == 130 * 100


def test_two_boxes_to_keep_around_the_same_face_keep_one(engine: Engine, tiny_png: bytes) -> None:
    assert engine.anonymize(tiny_png, keeping((240, 176, 336, 272), (241, 177, 335, 271))).redacted == 2


def test_boxes_to_keep_are_ignored_in_a_photo_without_faces(engine: Engine) -> None:
    grey = encode(np.full((50, 70, 3), 127, np.uint8), "PNG")

    anonymized = engine.anonymize(grey, keeping((1, 1, 30, 30)))

    assert anonymized.faces == ()
    assert (pixels_of(anonymized.picture) == 127).all()


def test_the_threshold_for_redacting_is_below_that_for_attributes(engine: Engine) -> None:
    assert engine.pack.face.redaction_confidence < engine.pack.face.min_confidence


def test_the_confidence_threshold_can_be_chosen(engine: Engine, tiny_png: bytes) -> None:
    assert {
        engine.anonymize(tiny_png, replace(FAST, min_confidence=threshold)).redacted for threshold in (0.99, 0.999, 1.0)
    } == {3, 1, 0}


def post(client: FlaskClient, photo: bytes, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    form = {"image": (io.BytesIO(photo), "photo"), "detail": "fast", **fields}
    return client.post("/anonymize", data=form, headers=headers)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_service_responds_with_the_type_of_the_photo(
    client: FlaskClient, tiny_photo: NDArray[np.uint8], kind: str
) -> None:
    response = post(client, encode(tiny_photo, kind))

    assert (response.status_code, response.mimetype) == (200, MEDIA_TYPES[kind])
    assert response.headers["X-Face-Count"] == "3"
    assert Image.open(io.BytesIO(response.data)).size == (384, 384)


def test_the_default_detail_is_high(client: FlaskClient, tiny_png: bytes) -> None:
    plain = client.post("/anonymize", data=tiny_png, content_type="image/png").headers["X-Face-Count"]

    assert plain == post(client, tiny_png, detail="high").headers["X-Face-Count"]
    assert plain != post(client, tiny_png, detail="fast").headers["X-Face-Count"]


def test_json_has_the_faces_and_the_same_picture(client: FlaskClient, tiny_png: bytes) -> None:
    picture = post(client, tiny_png, keep="[240, 176, 336, 272]").data

    response = post(client, tiny_png, {"Accept": "application/json"}, keep="[[240, 176, 336, 272]]").json

    assert response is not None
    assert response["image"] == {"width": 384, "height": 384, "format": "PNG"}
    assert {tuple(face["bbox"]): face["kept"] for face in response["faces"]} == {
        box: box == (240, 176, 336, 272) for box in TINY_FACES
    }
    assert set(response["timings_ms"]) == {"wait", "decode", "detect", "cover", "encode"}
    assert base64.b64decode(response["picture"]) == picture


def test_json_omits_the_picture_on_request(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, format="json", picture="false").json

    assert response is not None
    assert "picture" not in response


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/webp,image/*;q=0.8,*/*;q=0.5", "image/jpeg"),
        ("image/png, application/json;q=0.9", "application/json"),
    ],
)
def test_the_accept_header_chooses_between_json_and_the_type_of_the_photo(
    client: FlaskClient, tiny_jpeg: bytes, accept: str, media_type: str
) -> None:
    assert post(client, tiny_jpeg, {"Accept": accept}).mimetype == media_type


def test_a_type_that_is_not_available_is_not_acceptable(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, {"Accept": "text/html"})

    assert response.status_code == 406
    assert response.json is not None
    assert "image/png or application/json" in response.json["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "pixelate"),
        ("shape", "circle"),
        ("mask_scale", "0.5"),
        ("mask_scale", "nan"),
        ("keep", "all"),
        ("keep", "{}"),
        ("keep", "[1, 2, 3]"),
        ("keep", "[[1, 2, 3, 4], 5]"),
        ("keep", "[[30, 2, 3, 40]]"),
        ("keep", "[[1, 2, 1e999, 4]]"),
        ("keep", "[[true, 2, 3, 4]]"),
        ("keep", "[" * 100_000),
        ("keep", "[" + ",".join(["[1,1,2,2]"] * 1001) + "]"),
        ("min_confidence", "0"),
        ("format", "jpeg"),
        ("picture", "no"),
    ],
)
def test_the_error_names_the_invalid_parameter(client: FlaskClient, tiny_png: bytes, field: str, value: str) -> None:
    response = post(client, tiny_png, None, **{field: value})

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "bad_parameter"
    assert response.json["error"].startswith(f"{field} is ")


@pytest.mark.parametrize("keep", ["[]", "[[1, 2, 3, 4]]", "[1, 2, 3, 4]"])
def test_boxes_to_keep_may_be_none_one_or_many(client: FlaskClient, tiny_png: bytes, keep: str) -> None:
    assert post(client, tiny_png, keep=keep).headers["X-Face-Count"] == "3"
