"""The privacy guard on one photo: what is covered, what stays, and that nothing but pixels is passed on."""

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
from visage.anonymize.masks import Mask, Method, Shape, cover
from visage.anonymize.search import GuardOptions
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.nets.detector import Detections, FaceDetector
from visage.runtime.engine import Engine

BOXES = [Box(*corners) for corners in TINY_FACES]

SOLID_BOXES = Mask(Method.SOLID, Shape.BOX, 1.0)

FAST = GuardOptions(SOLID_BOXES, detail=Detail.FAST)

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp"}


def pixels_of(picture: bytes) -> NDArray[np.uint8]:
    """(h, w, 3) BGR, read by Pillow as it is stored."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def without(pixels: NDArray[np.uint8], *boxes: Box) -> NDArray[np.uint8]:
    """The same with black boxes."""
    blackened = pixels.copy()
    for box in boxes:
        blackened[box.y1 : box.y2, box.x1 : box.x2] = 0
    return blackened


def keeping(*boxes: tuple[int, int, int, int]) -> GuardOptions:
    return GuardOptions(SOLID_BOXES, keep=tuple(Box(*box) for box in boxes), detail=Detail.FAST)


def test_every_face_is_covered_and_all_else_is_as_it_was(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, FAST)

    assert sorted(TINY_FACES) == sorted(face.box.corners for face in anonymized.faces)
    assert anonymized.covered == 3
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, *BOXES))


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("shape", Shape)
def test_faces_are_covered_as_it_was_asked_for(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8], method: Method, shape: Shape
) -> None:
    mask = Mask(method, shape, 1.5)

    picture = engine.anonymize(tiny_png, GuardOptions(mask, detail=Detail.FAST)).picture

    assert np.array_equal(pixels_of(picture), cover(tiny_photo, BOXES, mask))
    assert not np.array_equal(pixels_of(picture), tiny_photo)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_answer_has_the_format_and_the_size_of_the_photo(
    engine: Engine, tiny_photo: NDArray[np.uint8], kind: str
) -> None:
    anonymized = engine.anonymize(encode(tiny_photo[:, :380], kind), FAST)

    picture = Image.open(io.BytesIO(anonymized.picture))
    assert (picture.format, picture.size) == (kind, (380, 384))
    assert anonymized.format.upper() == kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_answer_is_upright_and_says_nothing_of_an_orientation(
    engine: Engine, tiny_photo: NDArray[np.uint8], kind: str, orientation: int
) -> None:
    upright = tiny_photo[:, :380]
    stored = encode(as_stored(upright, orientation), kind, exif=b"Exif\0\0" + exif(orientation), quality=95)

    anonymized = engine.anonymize(stored, FAST)

    assert (anonymized.width, anonymized.height) == (380, 384)
    assert not Image.open(io.BytesIO(anonymized.picture)).getexif()
    shown = pixels_of(anonymized.picture).astype(int)
    assert np.abs(shown - without(upright, *BOXES)).mean() < 4


def remarks(photo: NDArray[np.uint8]) -> dict[str, Any]:
    """Everything that a file can say beside its pixels, the thumbnail of the uncovered photo included."""
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
def test_nothing_is_left_of_what_the_file_said_beside_its_pixels(
    engine: Engine, tiny_photo: NDArray[np.uint8], kind: str
) -> None:
    photo = encode(tiny_photo, kind, **remarks(tiny_photo))
    assert b"grandmother" in photo
    assert photo.count(b"\xff\xd8\xff") == (2 if kind == "JPEG" else 1)

    picture = engine.anonymize(photo, FAST).picture

    opened = Image.open(io.BytesIO(picture))
    opened.load()
    assert not {"exif", "icc_profile", "xmp", "comment"} & opened.info.keys()
    assert b"grandmother" not in picture
    assert b"profile" not in picture
    assert picture.count(b"\xff\xd8\xff") == (1 if kind == "JPEG" else 0)


def test_bytes_behind_the_end_of_a_photo_are_left_out(engine: Engine, tiny_jpeg: bytes) -> None:
    # Phones put a second picture there: a film, or the photo before it was edited.
    picture = engine.anonymize(tiny_jpeg + tiny_jpeg, FAST).picture

    assert picture.count(b"\xff\xd8\xff") == 1


def test_what_transparency_hides_is_not_in_the_answer(engine: Engine, tiny_photo: NDArray[np.uint8]) -> None:
    hidden = np.dstack([tiny_photo, np.full(tiny_photo.shape[:2], 255, np.uint8)])
    face = BOXES[1]
    hidden[face.y1 : face.y2, face.x1 : face.x2, 3] = 0

    anonymized = engine.anonymize(encode(hidden, "PNG"), FAST)

    shown = np.asarray(Image.open(io.BytesIO(anonymized.picture)))
    assert shown.shape == (384, 384, 3)
    assert (shown[face.y1 + 1 : face.y2 - 1, face.x1 + 1 : face.x2 - 1] == 255).all()


def test_a_photo_of_sixteen_bits_is_covered_too(engine: Engine, tiny_photo: NDArray[np.uint8]) -> None:
    anonymized = engine.anonymize(encode_16_bit(tiny_photo), FAST)

    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, *BOXES))


def test_a_face_stays_where_its_box_is_to_be_kept(
    engine: Engine, tiny_png: bytes, tiny_photo: NDArray[np.uint8]
) -> None:
    anonymized = engine.anonymize(tiny_png, keeping((250, 170, 340, 280)))

    assert [face.box for face in anonymized.faces if face.kept] == [Box(240, 176, 336, 272)]
    assert anonymized.covered == 2
    assert np.array_equal(pixels_of(anonymized.picture), without(tiny_photo, BOXES[0], BOXES[2]))


@pytest.mark.parametrize(
    "box", [(0, 0, 384, 384), (0, 0, 40, 40), (48, 144, 144, 240)], ids=["around all", "beside all", "between two"]
)
def test_a_box_that_names_no_face_keeps_none(engine: Engine, tiny_png: bytes, box: tuple[int, int, int, int]) -> None:
    assert engine.anonymize(tiny_png, keeping(box)).covered == 3


HEAD, MOUTH, BEHIND = (0, 0, 100, 130), (20, 70, 80, 128), (45, 0, 145, 130)

Crowd = Callable[..., NDArray[np.bool_]]


@pytest.fixture
def crowd(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Which of 200 x 200 pixels are covered where a head is found, a mouth in it, and somebody half behind it."""

    def covered(confidences: tuple[float, float, float], *keep: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        found = Detections(np.array([HEAD, MOUTH, BEHIND], np.float32), np.array(confidences, np.float32))
        monkeypatch.setattr(FaceDetector, "detect", lambda *_: found)
        photo = encode(np.full((200, 200, 3), 200, np.uint8), "PNG")
        return np.asarray((pixels_of(engine.anonymize(photo, keeping(*keep)).picture) == 0).all(axis=2))

    return covered


@pytest.mark.parametrize("confidences", [(0.7, 0.9, 0.6), (0.9, 0.7, 0.6), (0.6, 0.6, 0.9)])
def test_of_overlapping_boxes_all_are_covered(crowd: Crowd, confidences: tuple[float, float, float]) -> None:
    covered = crowd(confidences)

    assert covered[0:130, 0:145].all()
    assert covered.sum() == 130 * 145


def test_who_is_half_behind_a_face_that_stays_is_covered(crowd: Crowd) -> None:
    covered = crowd((0.9, 0.7, 0.6), HEAD)

    assert covered[0:130, 45:145].all()
    assert covered.sum() == 130 * 100


def test_two_boxes_of_the_same_face_keep_one(engine: Engine, tiny_png: bytes) -> None:
    assert engine.anonymize(tiny_png, keeping((240, 176, 336, 272), (241, 177, 335, 271))).covered == 2


def test_boxes_to_keep_harm_nothing_where_there_is_no_face(engine: Engine) -> None:
    grey = encode(np.full((50, 70, 3), 127, np.uint8), "PNG")

    anonymized = engine.anonymize(grey, keeping((1, 1, 30, 30)))

    assert anonymized.faces == ()
    assert (pixels_of(anonymized.picture) == 127).all()


def test_less_certain_faces_are_covered_than_have_attributes(engine: Engine) -> None:
    assert engine.pack.face.guard_confidence < engine.pack.face.min_confidence


def test_the_least_confidence_can_be_chosen(engine: Engine, tiny_png: bytes) -> None:
    assert {
        engine.anonymize(tiny_png, replace(FAST, min_confidence=least)).covered for least in (0.99, 0.999, 1.0)
    } == {3, 1, 0}


def post(client: FlaskClient, photo: bytes, headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    form = {"image": (io.BytesIO(photo), "photo"), "detail": "fast", **fields}
    return client.post("/anonymize", data=form, headers=headers)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_the_service_answers_the_photo_in_its_own_type(
    client: FlaskClient, tiny_photo: NDArray[np.uint8], kind: str
) -> None:
    answer = post(client, encode(tiny_photo, kind))

    assert (answer.status_code, answer.mimetype) == (200, MEDIA_TYPES[kind])
    assert answer.headers["X-Face-Count"] == "3"
    assert Image.open(io.BytesIO(answer.data)).size == (384, 384)


def test_the_guard_looks_as_closely_as_it_can_unless_told_otherwise(client: FlaskClient, tiny_png: bytes) -> None:
    plain = client.post("/anonymize", data=tiny_png, content_type="image/png").headers["X-Face-Count"]

    assert plain == post(client, tiny_png, detail="high").headers["X-Face-Count"]
    assert plain != post(client, tiny_png, detail="fast").headers["X-Face-Count"]


def test_json_has_the_faces_and_the_same_picture(client: FlaskClient, tiny_png: bytes) -> None:
    picture = post(client, tiny_png, keep="[240, 176, 336, 272]").data

    answer = post(client, tiny_png, {"Accept": "application/json"}, keep="[[240, 176, 336, 272]]").json

    assert answer is not None
    assert answer["image"] == {"width": 384, "height": 384, "format": "PNG"}
    assert {tuple(face["bbox"]): face["kept"] for face in answer["faces"]} == {
        box: box == (240, 176, 336, 272) for box in TINY_FACES
    }
    assert set(answer["timings_ms"]) == {"wait", "decode", "detect", "cover", "encode"}
    assert base64.b64decode(answer["picture"]) == picture


def test_json_leaves_the_picture_out_on_request(client: FlaskClient, tiny_png: bytes) -> None:
    answer = post(client, tiny_png, format="json", picture="false").json

    assert answer is not None
    assert "picture" not in answer


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/webp,image/*;q=0.8,*/*;q=0.5", "image/jpeg"),
        ("image/png, application/json;q=0.9", "application/json"),
    ],
)
def test_the_answer_is_what_the_caller_likes_best_of_json_and_the_type_of_the_photo(
    client: FlaskClient, tiny_jpeg: bytes, accept: str, given: str
) -> None:
    assert post(client, tiny_jpeg, {"Accept": accept}).mimetype == given


def test_what_cannot_be_given_is_told(client: FlaskClient, tiny_png: bytes) -> None:
    answer = post(client, tiny_png, {"Accept": "text/html"})

    assert answer.status_code == 406
    assert answer.json is not None
    assert "image/png or application/json" in answer.json["error"]


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
def test_a_parameter_that_does_not_fit_is_named(client: FlaskClient, tiny_png: bytes, field: str, value: str) -> None:
    answer = post(client, tiny_png, None, **{field: value})

    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["code"] == "bad_parameter"
    assert answer.json["error"].startswith(f"{field} is ")


@pytest.mark.parametrize("keep", ["[]", "[[1, 2, 3, 4]]", "[1, 2, 3, 4]"])
def test_boxes_to_keep_may_be_none_one_or_many(client: FlaskClient, tiny_png: bytes, keep: str) -> None:
    assert post(client, tiny_png, keep=keep).headers["X-Face-Count"] == "3"
