"""A parameter that one place of a request has twice is refused: one of its values would have no effect."""

import base64
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from visage.errors import BadParameter
from visage.web.form_parser import PHOTO_FIELDS
from visage.web.json_body import parse_json

BOXES = ["[[1,1,50,50]]", "[[200,200,250,250]]"]


def sent_twice_in_each_place(photo: bytes) -> dict[str, dict[str, Any]]:
    image = (io.BytesIO(photo), "photo.png")
    boxes = b'"cover":%s,"cover":%s' % tuple(each.encode() for each in BOXES)
    return {
        "query": {"query_string": {"cover": BOXES}, "data": {"image": image}},
        "query of a raw body": {"query_string": {"cover": BOXES}, "data": photo, "content_type": "image/png"},
        "form": {"data": {"image": image, "cover": BOXES}},
        "JSON": {
            "data": b'{"image":"%s",%s}' % (base64.b64encode(photo), boxes),
            "content_type": "application/json",
        },
    }


@pytest.mark.parametrize("place", sent_twice_in_each_place(b""))
def test_boxes_that_are_sent_twice_are_refused(client: FlaskClient, tiny_png: bytes, place: str) -> None:
    response = client.post("/anonymize", **sent_twice_in_each_place(tiny_png)[place])

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "bad_parameter"
    assert "cover" in response.json["error"]
    assert "2 times" in response.json["error"]


def test_a_second_value_is_refused_even_if_it_is_the_same(client: FlaskClient, tiny_png: bytes) -> None:
    data = {"image": (io.BytesIO(tiny_png), "photo.png"), "method": ["solid", "solid"]}

    response = client.post("/anonymize", data=data)

    assert response.json == {
        "error": "method occurs 2 times; send it once, with everything that it should have.",
        "code": "bad_parameter",
    }


def test_an_empty_text_beside_a_value_counts_as_missing(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/anonymize?format=&format=json", data={"image": (io.BytesIO(tiny_png), "photo.png")})

    assert (response.status_code, response.mimetype) == (200, "application/json")


def test_the_query_overrides_the_form(client: FlaskClient, tiny_png: bytes) -> None:
    data = {"image": (io.BytesIO(tiny_png), "photo.png"), "format": "picture"}

    response = client.post("/anonymize?format=json", data=data)

    assert (response.status_code, response.mimetype) == (200, "application/json")


def test_a_parameter_of_a_batch_that_is_sent_twice_is_refused(client: FlaskClient, tiny_png: bytes) -> None:
    data = {"files": (io.BytesIO(tiny_png), "photo.png"), "method": ["solid", "blur"]}

    response = client.post("/batches", data=data)

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"].startswith("method occurs 2 times; ")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"image": "AAAA", "image": "AAAA"}', "'image'"),
        (b'{"image": "AAAA", "max_faces": 1, "max_f\\u0061ces": 2}', "'max_faces'"),
        (b'{"image": "AAAA", "note": [{"x": 1, "x": 1}]}', "'x'"),
    ],
    ids=["a photo", "an escaped name", "inside a value"],
)
def test_json_that_has_a_name_twice_in_an_object_is_refused(body: bytes, name: str) -> None:
    with pytest.raises(BadParameter, match=f"^The JSON has {name} 2 times in one object; keep one of them.$"):
        parse_json(body, PHOTO_FIELDS)
