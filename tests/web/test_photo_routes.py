"""The routes for photos: formats of responses, Accept, and parameters."""

import base64
import email.parser
import email.policy
import io
import json

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.support.tiny_pack import TINY_FACES
from tests.web.support import post


def is_jpeg(content: bytes) -> bool:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return content.startswith(b"\xff\xd8") and picture is not None and picture.shape == (384, 384, 3)


def test_predict_returns_json_that_includes_the_picture(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png)

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["image"] == {"width": 384, "height": 384}
    assert sorted(tuple(face["bbox"]) for face in response.json["faces"]) == sorted(TINY_FACES)
    assert response.json["model"] == {"pack": "tiny", "version": "1"}
    assert set(response.json["timings_ms"]) == {"wait", "decode", "detect", "attributes", "annotate", "encode"}
    assert is_jpeg(base64.b64decode(response.json["annotated_jpeg"]))


def test_a_face_has_the_documented_fields(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png)

    assert response.json is not None
    face = next(face for face in response.json["faces"] if face["bbox"] == [240, 176, 336, 272])
    assert face == {
        "bbox": [240, 176, 336, 272],
        "confidence": 0.9952,
        "gender": "Female",
        "gender_confidence": 0.9952,
        "age": "(10-49)",
        "age_range": [10, 49],
        "age_confidence": face["age_probabilities"]["(10-49)"],
        "age_years": 21.2,
        "gender_probabilities": {"Male": 0.0048, "Female": 0.9952},
        "age_probabilities": face["age_probabilities"],
    }
    assert list(face["age_probabilities"]) == ["(0-9)", "(10-49)", "(50-99)"]


# `False` is how a client that openapi-python-client generated writes it in a form.
@pytest.mark.parametrize("false", ["false", "0", "False"])
def test_annotated_false_omits_the_picture(client: FlaskClient, tiny_png: bytes, false: str) -> None:
    response = post(client, tiny_png, query_string={"annotated": false})

    assert response.json is not None
    assert "annotated_jpeg" not in response.json


def test_analyze_returns_the_picture(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, "/analyze")

    assert response.mimetype == "image/jpeg"
    assert response.headers["X-Face-Count"] == "3"
    assert is_jpeg(response.data)


@pytest.mark.parametrize(
    ("route", "accept", "media_type"),
    [
        ("/predict", "*/*", "application/json"),
        ("/predict", "application/json", "application/json"),
        ("/predict", "application/json; charset=utf-8", "application/json"),
        ("/predict", "image/jpeg;version=1;q=0.9, application/json;q=0.5", "image/jpeg"),
        ("/predict", "image/jpeg", "image/jpeg"),
        ("/predict", "image/*", "image/jpeg"),
        ("/predict", "multipart/mixed", "multipart/mixed"),
        ("/predict", "image/jpeg;q=0.5, application/json;q=0.9", "application/json"),
        ("/predict", "application/json;q=0.5, image/jpeg;q=0.9", "image/jpeg"),
        ("/predict", "text/html, application/xhtml+xml, image/avif, */*;q=0.8", "application/json"),
        ("/analyze", "*/*", "image/jpeg"),
        ("/analyze", "application/json", "application/json"),
        ("/analyze", "text/html, application/xhtml+xml, image/avif, */*;q=0.8", "image/jpeg"),
    ],
)
def test_the_response_has_the_preferred_type_of_accept(
    client: FlaskClient, tiny_png: bytes, route: str, accept: str, media_type: str
) -> None:
    response = post(client, tiny_png, route, headers={"Accept": accept})

    assert (response.status_code, response.mimetype) == (200, media_type)
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "nonsense"])
def test_an_unavailable_type_in_accept_is_rejected(client: FlaskClient, tiny_png: bytes, accept: str) -> None:
    response = post(client, tiny_png, headers={"Accept": accept})

    assert response.status_code == 406
    assert response.json is not None
    assert response.json["code"] == "not_acceptable"


@pytest.mark.parametrize(
    ("form", "media_type"), [("json", "application/json"), ("jpeg", "image/jpeg"), ("both", "multipart/mixed")]
)
def test_the_format_parameter_wins_over_accept(
    client: FlaskClient, tiny_png: bytes, form: str, media_type: str
) -> None:
    response = post(client, tiny_png, query_string={"format": form}, headers={"Accept": "image/png"})

    assert (response.status_code, response.mimetype) == (200, media_type)


def test_both_returns_two_raw_parts(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, headers={"Accept": "multipart/mixed"})

    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {response.content_type}\r\n\r\n".encode() + response.data
    )
    description, picture = (part for part in message.walk() if not part.is_multipart())
    assert description.get_content_type() == "application/json"
    content = json.loads(str(description.get_payload()))
    assert len(content["faces"]) == 3
    assert "annotated_jpeg" not in content
    assert picture.get_content_type() == "image/jpeg"
    assert is_jpeg(bytes(picture.get_payload(decode=True)))


@pytest.mark.parametrize("field", ["image", "file"])
def test_the_photo_is_accepted_as_image_or_file(client: FlaskClient, tiny_png: bytes, field: str) -> None:
    response = client.post("/predict", data={field: (io.BytesIO(tiny_png), "photo.png")})

    assert response.status_code == 200


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "image/x-anything", "application/octet-stream"])
def test_a_raw_body_is_recognized_by_its_bytes(client: FlaskClient, tiny_png: bytes, content_type: str) -> None:
    response = client.post("/predict", data=tiny_png, content_type=content_type)

    assert response.status_code == 200


@pytest.mark.parametrize("way", ["query_string", "data"])
def test_parameters_are_read_from_the_query_and_from_the_form(client: FlaskClient, tiny_png: bytes, way: str) -> None:
    photo = {"image": (io.BytesIO(tiny_png), "photo.png")}
    parameters = {"max_faces": "1"}
    query, form = (parameters, photo) if way == "query_string" else ({}, photo | parameters)

    response = client.post("/predict", query_string=query, data=form)

    assert response.json is not None
    assert len(response.json["faces"]) == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("min_confidence", "0", "a number from 0.01 to 1"),
        ("min_confidence", "1.1", "a number from 0.01 to 1"),
        ("min_confidence", "nan", "a number from 0.01 to 1"),
        ("min_confidence", "1_0e-1", "a number from 0.01 to 1"),
        ("min_confidence", "high", "a number from 0.01 to 1"),
        ("max_faces", "0", "a whole number from 1 to 1000"),
        ("max_faces", "1.5", "a whole number from 1 to 1000"),
        ("max_faces", "9" * 5000, "a whole number from 1 to 1000"),
        ("max_faces", "²", "a whole number from 1 to 1000"),
        ("min_face_size", "-1", "a whole number from 0 to 100000"),
        ("detail", "medium", "one of fast, auto, high"),
        ("format", "xml", "one of json, jpeg, both"),
        ("annotated", "no", "one of true, false"),
    ],
)
def test_an_error_names_the_parameter_and_its_range(
    client: FlaskClient, tiny_png: bytes, name: str, value: str, expected: str
) -> None:
    response = post(client, tiny_png, query_string={name: value})

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "bad_parameter"
    assert response.json["error"].startswith(f"{name} is ")
    assert response.json["error"].endswith(f"; it must be {expected}.")
    assert len(response.json["error"]) < 150
