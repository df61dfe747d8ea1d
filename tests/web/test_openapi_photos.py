"""Responses match the OpenAPI document, except those of batches."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.contract import CONTRACT, check, photo
from tests.support.landmark_pack import write_landmark_pack
from visage.settings import Settings
from visage.web import create_app


@pytest.mark.parametrize("route", ["/predict", "/analyze"])
@pytest.mark.parametrize("form", ["json", "jpeg", "both"])
def test_a_result_matches_its_schema(client: FlaskClient, tiny_png: bytes, route: str, form: str) -> None:
    response = client.post(route, data=photo(tiny_png, format=form))

    assert response.status_code == 200
    check(response, route, "post")


def test_a_result_with_landmarks_matches_its_schema(tmp_path: Path, tiny_png: bytes) -> None:
    app = create_app(Settings(pack=str(write_landmark_pack(tmp_path / "landmarks")), state_dir=tmp_path / "state"))

    response = app.test_client().post("/predict", data=photo(tiny_png))

    assert response.json is not None
    assert [len(face["landmarks"]) for face in response.json["faces"]] == [5, 5, 5]
    check(response, "/predict", "post")


def test_a_result_without_faces_and_picture_matches_its_schema(client: FlaskClient, tiny_png: bytes) -> None:
    response = client.post("/predict", data=photo(tiny_png, annotated="false", min_face_size="5000"))

    assert response.json is not None
    assert response.json["faces"] == []
    check(response, "/predict", "post")


@pytest.mark.parametrize(
    ("route", "schema"),
    [
        ("/predict", "PhotoJson"),
        ("/analyze", "PhotoJson"),
        ("/anonymize", "AnonymizeJson"),
        ("/enhance", "EnhanceJson"),
    ],
)
def test_json_is_described_with_the_parameters_of_the_form(route: str, schema: str) -> None:
    content = CONTRACT["paths"][route]["post"]["requestBody"]["content"]
    schemas = CONTRACT["components"]["schemas"]
    form = schemas[content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]]

    assert content["application/json"]["schema"] == {"$ref": f"#/components/schemas/{schema}"}
    assert set(schemas[schema]["properties"]) == set(form["properties"])


@pytest.mark.parametrize("route", ["/anonymize", "/enhance"])
@pytest.mark.parametrize("arguments", [{}, {"format": "json"}, {"format": "json", "picture": "false"}])
def test_a_changed_picture_matches_its_schema(
    client: FlaskClient, tiny_png: bytes, route: str, arguments: dict[str, str]
) -> None:
    response = client.post(route, data=photo(tiny_png, **arguments))

    assert response.status_code == 200
    check(response, route, "post")


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"data": {}}),
        (400, {"data": photo(b"")}),
        (400, {"data": b"x", "content_type": "text/plain"}),
        (406, {"data": photo(b"x"), "headers": {"Accept": "image/png"}}),
        (413, {"data": bytes(2**20 + 1), "content_type": "image/png"}),
        (415, {"data": photo(b"GIF89a")}),
        (422, {"data": photo(b"\x89PNG\r\n\x1a\n")}),
    ],
)
def test_an_error_matches_its_schema(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    response = client.post("/predict", **arguments)

    assert response.status_code == status
    check(response, "/predict", "post")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/"])
def test_every_other_route_matches_its_description(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 200
    check(response, path, "get")
