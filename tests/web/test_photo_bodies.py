"""Every way in which clients send a photo, and the sentences for those that do not contain one."""

import base64
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

from tests.support.pictures import GIF, encode
from tests.web.support import post

ROUTES = ["/predict", "/analyze", "/anonymize", "/enhance"]


def post_form(client: FlaskClient, *parts: bytes) -> TestResponse:
    """Send a form; each part is its headers after `Content-Disposition: form-data; `, an empty line and its content."""
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return client.post("/predict", data=body, content_type="multipart/form-data; boundary=b")


def faces(response: TestResponse) -> int:
    assert response.status_code == 200, response.text
    assert response.json is not None
    return len(response.json["faces"])


def error(response: TestResponse) -> tuple[int, str, str]:
    assert response.json is not None
    return response.status_code, response.json["code"], response.json["error"]


def test_a_form_part_without_a_file_name_is_a_photo_by_its_type(client: FlaskClient, tiny_png: bytes) -> None:
    assert faces(post_form(client, b'name="image"\r\nContent-Type: image/png\r\n\r\n' + tiny_png)) == 3


@pytest.mark.parametrize("name", [b"image", b"file"])
def test_a_form_part_without_a_file_name_is_a_photo_by_its_first_bytes(
    client: FlaskClient, tiny_png: bytes, name: bytes
) -> None:
    assert faces(post_form(client, b'name="' + name + b'"\r\n\r\n' + tiny_png)) == 3


def test_a_photo_without_a_file_name_may_be_longer_than_a_field(client: FlaskClient, tiny_png: bytes) -> None:
    assert faces(post_form(client, b'name="image"\r\n\r\n' + tiny_png + bytes(900_000))) == 3


def test_a_form_with_text_in_place_of_the_photo_is_told_so(client: FlaskClient) -> None:
    status, code, sentence = error(post_form(client, b'name="image"\r\n\r\nphoto.jpg'))

    assert (status, code) == (400, "no_image")
    assert sentence.startswith("The field 'image' has text in place of a photo;")
    assert "-F image=@photo.jpg" in sentence


def test_a_form_with_other_fields_is_told_their_names(client: FlaskClient, tiny_png: bytes) -> None:
    parts = b'name="img"; filename="a.png"\r\n\r\n' + tiny_png, b'name="max_faces"\r\n\r\n3'

    status, code, sentence = error(post_form(client, *parts))

    assert (status, code) == (400, "no_image")
    assert sentence.startswith("The request has no field 'image', but 'img', 'max_faces';")


def test_names_of_fields_are_repeated_in_part_only(client: FlaskClient) -> None:
    parts = [b'name="%s%d"\r\n\r\n1' % (200 * b"x", number) for number in range(20)]

    assert len(error(post_form(client, *parts))[2]) < 400


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "image/png", "image/png; charset=binary", "image/heic", "application/octet-stream"),
        *("binary/octet-stream", "*/*", "application/x-www-form-urlencoded", "text/plain", "nonsense"),
    ],
)
@pytest.mark.parametrize("route", ROUTES)
def test_a_raw_body_is_recognized_by_its_first_bytes(
    client: FlaskClient, tiny_png: bytes, route: str, content_type: str
) -> None:
    response = client.post(route, data=tiny_png, content_type=content_type)

    assert response.status_code == 200, response.text


def test_a_raw_body_of_another_format_is_named_without_a_type(client: FlaskClient) -> None:
    status, code, sentence = error(client.post("/predict", data=GIF))

    assert (status, code) == (415, "unsupported_type")
    assert sentence.startswith("GIF is not accepted")


@pytest.mark.parametrize("content_type", ["", "text/plain"])
def test_a_raw_body_that_is_no_photo_is_told_how_to_send_one(client: FlaskClient, content_type: str) -> None:
    status, code, sentence = error(client.post("/predict", data=b"image=photo.jpg", content_type=content_type))

    assert (status, code) == (400, "no_image")
    assert sentence.startswith("Send the photo as the multipart field 'image'")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "image/jpeg"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photo_from_which_curl_removed_bytes_is_told_how_to_send_it(
    client: FlaskClient, tiny_photo: NDArray[np.uint8], content_type: str, kind: str
) -> None:
    sent = encode(tiny_photo, kind).translate(None, b"\0\r\n")

    status, code, sentence = error(client.post("/predict", data=sent, content_type=content_type))

    assert (status, code) == (422, "undecodable_image")
    assert sentence == (
        "The photo has no line breaks and zero bytes, which curl's -d removes; send the photo with --data-binary "
        "@photo.jpg or -F image=@photo.jpg."
    )


@pytest.mark.parametrize("body", [b"", b"image=photo.jpg", b"ftypheic"])
def test_what_curl_sends_as_a_form_is_told_how_to_send_a_photo(client: FlaskClient, body: bytes) -> None:
    response = client.post("/predict", data=body, content_type="application/x-www-form-urlencoded")

    status, code, sentence = error(response)

    assert (status, code) == (400, "no_image")
    assert sentence == (
        "The body is no photo, or one that curl's -d has changed; send the photo with --data-binary @photo.jpg or "
        "-F image=@photo.jpg."
    )


def plain(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


def in_lines(photo: bytes) -> str:
    return base64.encodebytes(photo).decode()


def data_url(photo: bytes) -> str:
    return f"data:image/png;base64,{plain(photo)}"


def with_parameters(photo: bytes) -> str:
    return f"DATA:image/png;charset=utf-8;BASE64,{plain(photo)}"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("encode", [plain, in_lines, data_url, with_parameters])
def test_json_gives_the_same_result_as_a_form(client: FlaskClient, tiny_png: bytes, route: str, encode: Any) -> None:
    # Timings are rounded and differ.
    accept = {"Accept": "image/jpeg, image/png"}

    from_json = client.post(route, json={"image": encode(tiny_png)}, headers=accept)

    assert from_json.status_code == 200, from_json.text
    assert from_json.data == post(client, tiny_png, route, headers=accept).data


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"max_faces": 1}, 1),
        ({"max_faces": "1"}, 1),
        ({"min_face_size": 5000}, 0),
        ({"max_faces": None}, 3),
    ],
)
def test_parameters_stand_beside_the_photo(
    client: FlaskClient, tiny_png: bytes, parameters: dict[str, Any], expected: int
) -> None:
    response = client.post("/predict", json={"image": plain(tiny_png), "annotated": False, **parameters})

    assert faces(response) == expected
    assert response.json is not None
    assert "annotated_jpeg" not in response.json


def test_boxes_to_keep_are_lists_in_json(client: FlaskClient, tiny_png: bytes) -> None:
    body = {"image": plain(tiny_png), "format": "json"}
    before = client.post("/anonymize", json=body)
    assert before.json is not None
    box = before.json["faces"][-1]["bbox"]
    response = client.post("/anonymize", json={**body, "keep": [box]})

    assert response.json is not None
    assert [face["bbox"] for face in response.json["faces"] if face["kept"]] == [box]


def test_the_query_overrides_json(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/predict?max_faces=2", json={"file": plain(tiny_png), "max_faces": 1})

    assert faces(response) == 2


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        ("https://example.com/photo.jpg", "not its name or URL"),
        ("data:image/png,text", "not its name or URL"),
        ("Ä", "not its name or URL"),
        ("\ud800", "not its name or URL"),
        ("A", "not its name or URL"),
        ([1, 2], "'image' must be a string"),
    ],
)
def test_other_values_are_told_what_is_expected(client: FlaskClient, image: Any, sentence: str) -> None:
    status, code, text = error(client.post("/predict", json={"image": image}))

    assert (status, code) == (400, "no_image")
    assert sentence in text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b'{"a":' * 5000, b'{"a":' + 5000 * b"1" + b"}"])
def test_a_body_that_is_not_a_json_object_is_told_so(client: FlaskClient, body: bytes) -> None:
    status, code, text = error(client.post("/predict", data=body, content_type="application/json"))

    assert (status, code) == (400, "bad_request")
    assert text.startswith("The body is")
