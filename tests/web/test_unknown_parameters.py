"""A parameter that an operation does not have is refused, with the nearest name that it has."""

import base64
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.contract import CONTRACT
from visage.errors import BadParameter
from visage.web.parameters.table import ANALYSIS, ANONYMIZATION, BATCH, BATCH_STATUS, ENHANCEMENT, Parameters
from visage.web.parameters.values import reject_unknown

WITH_A_TOKEN = [
    (method, path)
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
    if "security" in operation
]


def unknown(name: str, parameters: Parameters) -> str:
    with pytest.raises(BadParameter) as caught:
        reject_unknown([name], parameters)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "parameters", "nearest"),
    [
        ("methd", ANONYMIZATION, "method"),
        ("Method", ANONYMIZATION, "method"),
        ("mask-scale", ANONYMIZATION, "mask_scale"),
        ("maskScale", ANONYMIZATION, "mask_scale"),
        ("max_face", ANALYSIS, "max_faces"),
        ("confidence", ANALYSIS, "min_confidence"),
        ("scales", ENHANCEMENT, "scale"),
        ("tasks", BATCH, "task"),
        ("file", BATCH_STATUS, "files"),
    ],
)
def test_the_sentence_has_the_nearest_name(name: str, parameters: Parameters, nearest: str) -> None:
    assert unknown(name, parameters).endswith(f". Did you mean {nearest}?")


def test_without_a_near_name_the_sentence_lists_all_names() -> None:
    assert unknown("colour", ENHANCEMENT) == (
        "Unknown parameter colour. The parameters of this operation are scale, format, picture."
    )


@pytest.mark.parametrize("name", ["", " ", "\0", "\u202emethod", "m" * 100_000, "_" * 100_000])
def test_the_sentence_is_short_for_any_name(name: str) -> None:
    assert len(unknown(name, ANONYMIZATION)) < 300


def send(client: FlaskClient, photo: bytes, **more: Any) -> TestResponse:
    return client.post("/anonymize", **({"data": {"image": (io.BytesIO(photo), "photo.png")}} | more))


def sent_in_each_place(photo: bytes) -> dict[str, dict[str, Any]]:
    return {
        "query": {"query_string": {"methd": "solid"}},
        "query without a value": {"query_string": "methd"},
        "query of a raw body": {"query_string": {"methd": "solid"}, "data": photo, "content_type": "image/png"},
        "form": {"data": {"image": (io.BytesIO(photo), "photo.png"), "methd": "solid"}},
        "JSON": {"data": None, "json": {"image": encoded(photo), "methd": "solid"}},
        "JSON with null": {"data": None, "json": {"image": encoded(photo), "methd": None}},
    }


def encoded(photo: bytes) -> str:
    return base64.b64encode(photo).decode()


@pytest.mark.parametrize("place", sent_in_each_place(b""))
def test_an_unknown_parameter_is_refused_wherever_it_stands(client: FlaskClient, tiny_png: bytes, place: str) -> None:
    response = send(client, tiny_png, **sent_in_each_place(tiny_png)[place])

    assert response.status_code == 400
    assert response.json == {"error": "Unknown parameter methd. Did you mean method?", "code": "bad_parameter"}


def test_a_file_that_is_not_the_photo_is_refused(client: FlaskClient, tiny_png: bytes) -> None:
    response = send(
        client,
        tiny_png,
        data={"image": (io.BytesIO(tiny_png), "photo.png"), "method": (io.BytesIO(b"solid"), "method.txt")},
    )

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "bad_parameter"
    assert response.json["error"].startswith("The field 'method' is a file; ")


@pytest.mark.parametrize(("method", "path"), WITH_A_TOKEN)
def test_every_operation_with_a_token_refuses_an_unknown_parameter(
    client: FlaskClient, tiny_png: bytes, method: str, path: str
) -> None:
    body: Any = {"data": {"image": (io.BytesIO(tiny_png), "photo.png")}} if method == "post" else {}
    response = client.open(
        path.format(batch_id="x" * 24, number=1), method=method.upper(), query_string={"colour": "1"}, **body
    )

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"].startswith("Unknown parameter colour. ")


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/static/page.css"])
def test_pages_and_probes_accept_any_query(client: FlaskClient, path: str) -> None:
    with client.get(path, query_string={"version": "2"}) as response:
        assert response.status_code == 200


@pytest.mark.parametrize("name", ["keep", "cover"])
def test_a_batch_says_that_boxes_belong_to_single_photos(client: FlaskClient, name: str) -> None:
    response = client.post("/batches", query_string={name: "[[1,2,3,4]]"})

    assert response.status_code == 400
    assert response.json is not None
    assert "single photos only" in response.json["error"]


def test_an_unknown_field_of_a_batch_is_refused(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "photo.png"), "methd": "solid"})

    assert response.status_code == 400
    assert response.json == {"error": "Unknown parameter methd. Did you mean method?", "code": "bad_parameter"}
