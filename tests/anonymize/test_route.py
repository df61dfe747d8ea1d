"""The route /anonymize: formats of responses, parameters and their errors."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from PIL import Image
from werkzeug.test import TestResponse

from tests.anonymize.support import MEDIA_TYPES
from tests.support.pictures import encode
from tests.support.tiny_pack import TINY_FACES


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
    size = {"width": 384, "height": 384}
    assert response["image"] == {**size, "format": "PNG", "depth": 8, "original_format": "PNG"}
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
        ("keep", "[" + ",".join(["[1,1,2,2]"] * 4001) + "]"),
        ("cover", "all"),
        ("detect", "no"),
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


@pytest.mark.parametrize("name", ["keep", "cover"])
@pytest.mark.parametrize(
    ("boxes", "wrong"),
    [
        ("[[1, 2, 30, 40], 5]", "its box 2, 5, must be [x1, y1, x2, y2] in whole pixels."),
        ("[[1, 2, 30, 40], [1, 2, 30]]", "its box 2, [1, 2, 30], must be [x1, y1, x2, y2] in whole pixels."),
        ("[[1.5, 2, 30, 40]]", "its box 1, [1.5, 2, 30, 40], must be [x1, y1, x2, y2] in whole pixels."),
        ("[[30, 2, 3, 40]]", "its box 1, [30, 2, 3, 40], must have x1 < x2 and y1 < y2."),
        ("[[1, 2, 3, 70000]]", "its box 1, [1, 2, 3, 70000], must not go beyond 65,500 pixels."),
    ],
)
def test_the_error_names_the_wrong_box(client: FlaskClient, tiny_png: bytes, name: str, boxes: str, wrong: str) -> None:
    response = post(client, tiny_png, None, **{name: boxes}).json

    assert response is not None
    assert response["error"] == f"{name} is {boxes!r}; {wrong}"


def test_json_has_the_boxes_to_cover_inside_the_photo(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, format="json", cover="[[-20, 350, 40, 500]]").json

    assert response is not None
    assert response["cover"] == [[0, 350, 40, 384]]


def test_the_number_of_redacted_faces_includes_those_covered_by_hand(client: FlaskClient, tiny_png: bytes) -> None:
    assert post(client, tiny_png, cover="[[0, 350, 40, 384]]").headers["X-Face-Count"] == "4"


def test_every_box_of_a_face_is_listed_with_its_confidence(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, format="json", picture="false").json

    assert response is not None
    for face in response["faces"]:
        assert face["bbox"] in [box["bbox"] for box in face["boxes"]]
        assert all(response["min_confidence"] <= box["confidence"] <= 1 for box in face["boxes"])


@pytest.mark.parametrize("keep", ["[]", "[[1, 2, 3, 4]]", "[1, 2, 3, 4]"])
def test_boxes_to_keep_may_be_none_one_or_many(client: FlaskClient, tiny_png: bytes, keep: str) -> None:
    assert post(client, tiny_png, keep=keep).headers["X-Face-Count"] == "3"
