"""The contract: valid by itself, complete, and what the running app really answers."""

import io
import json
from enum import Enum
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from werkzeug.test import TestResponse

from benchmarks.service import ROOT
from visage import __version__
from visage.analyzer import Options
from visage.errors import RequestError, VisageError
from visage.face_search import Detail
from visage.guard import GuardOptions
from visage.masks import Method, Shape
from visage.web.parameters import Format, PictureFormat

CONTRACT: dict[str, Any] = json.loads((ROOT / "visage" / "web" / "openapi.json").read_text())
REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:contract", Resource.from_contents(CONTRACT | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
)


def check(answer: TestResponse, path: str, method: str) -> None:
    """Hold an answer to what the contract says of its route, status and type."""
    described = CONTRACT["paths"][path][method]["responses"][str(answer.status_code)]
    media_type = described["content"][answer.mimetype]
    for name in described.get("headers", {}):
        assert name in answer.headers or (name == "X-Face-Count" and not str(answer.mimetype).startswith("image/"))
    if answer.mimetype == "application/json":
        schema = json.loads(json.dumps(media_type["schema"]).replace('"#/', '"urn:contract#/'))
        Draft202012Validator(schema, registry=REGISTRY).validate(answer.json)


def photo(content: bytes, **fields: str) -> dict[str, Any]:
    return {"image": (io.BytesIO(content), "photo.png"), **fields}


def test_the_document_is_valid_openapi() -> None:
    validate(CONTRACT)


def test_the_document_is_served_as_it_is(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == CONTRACT


def test_the_document_has_the_version_of_the_package() -> None:
    assert CONTRACT["info"]["version"] == __version__


def test_every_route_is_described_and_every_description_is_a_route(app: Flask) -> None:
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    described = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}

    assert routes == described


def test_every_error_of_the_tree_is_described_with_its_status() -> None:
    def leaves(kind: type[VisageError]) -> set[tuple[str, str]]:
        return {(str(kind.status), kind.code)}.union(*map(leaves, kind.__subclasses__()))

    responses = CONTRACT["paths"]["/predict"]["post"]["responses"]

    described = {
        (status, code)
        for status, response in responses.items()
        if status != "200"
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }

    assert leaves(RequestError) <= described
    assert {("429", "queue_full"), ("503", "wait_timeout"), ("500", "internal_error")} <= described


@pytest.mark.parametrize("name", ["min_confidence", "max_faces", "min_face_size", "detail", "format", "annotated"])
def test_a_parameter_is_described_the_same_in_query_and_form(name: str) -> None:
    in_form = dict(CONTRACT["components"]["schemas"]["PhotoForm"]["properties"][name])
    in_form.pop("description")

    assert CONTRACT["components"]["parameters"][name]["schema"] == in_form


@pytest.mark.parametrize("parameter", CONTRACT["paths"]["/anonymize"]["post"]["parameters"])
def test_a_parameter_of_the_guard_is_described_the_same_in_query_and_form(parameter: dict[str, str]) -> None:
    in_query = CONTRACT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
    in_form = CONTRACT["components"]["schemas"]["GuardForm"]["properties"]

    assert in_query["in"] == "header" or in_form[in_query["name"]] == in_query["schema"]


def test_described_defaults_of_the_guard_are_the_real_ones() -> None:
    parameters, default = CONTRACT["components"]["parameters"], GuardOptions()

    assert parameters["method"]["schema"] == described(Method, default.mask.method)
    assert parameters["shape"]["schema"] == described(Shape, default.mask.shape)
    assert parameters["guard_detail"]["schema"] == described(Detail, default.detail)
    assert parameters["guard_format"]["schema"]["enum"] == [each.value for each in PictureFormat]
    assert parameters["mask_scale"]["schema"]["default"] == default.mask.scale


def described(kind: type[Enum], default: Enum) -> dict[str, Any]:
    return {"type": "string", "enum": [each.value for each in kind], "default": default.value}


def test_described_defaults_are_the_real_ones() -> None:
    parameters = CONTRACT["components"]["parameters"]

    assert parameters["detail"]["schema"]["default"] == Options().detail.value
    assert parameters["min_face_size"]["schema"]["default"] == Options().min_face_size
    assert parameters["format"]["schema"]["enum"] == [each.value for each in Format]


@pytest.mark.parametrize(
    ("parameter", "edge", "beyond"),
    [
        ("min_confidence", "minimum", "0.009"),
        ("min_confidence", "maximum", "1.001"),
        ("max_faces", "minimum", "0"),
        ("max_faces", "maximum", "1001"),
        ("min_face_size", "minimum", "-1"),
        ("min_face_size", "maximum", "100001"),
        ("mask_scale", "minimum", "0.99"),
        ("mask_scale", "maximum", "3.01"),
    ],
)
def test_described_ranges_are_the_real_ones(
    client: FlaskClient, tiny_png: bytes, parameter: str, edge: str, beyond: str
) -> None:
    route = "/anonymize" if parameter == "mask_scale" else "/predict"
    limit = CONTRACT["components"]["parameters"][parameter]["schema"][edge]

    at_the_limit = client.post(route, query_string={parameter: limit}, data=photo(tiny_png))
    beyond_it = client.post(route, query_string={parameter: beyond}, data=photo(tiny_png))

    assert (at_the_limit.status_code, beyond_it.status_code) == (200, 400)


@pytest.mark.parametrize("route", ["/predict", "/analyze"])
@pytest.mark.parametrize("form", ["json", "jpeg", "both"])
def test_good_answers_are_as_described(client: FlaskClient, tiny_png: bytes, route: str, form: str) -> None:
    answer = client.post(route, data=photo(tiny_png, format=form))

    assert answer.status_code == 200
    check(answer, route, "post")


def test_an_answer_without_faces_and_picture_is_as_described(client: FlaskClient, tiny_png: bytes) -> None:
    answer = client.post("/predict", data=photo(tiny_png, annotated="false", min_face_size="5000"))

    assert answer.json is not None
    assert answer.json["faces"] == []
    check(answer, "/predict", "post")


@pytest.mark.parametrize("arguments", [{}, {"format": "json"}, {"format": "json", "picture": "false"}])
def test_good_answers_of_the_guard_are_as_described(
    client: FlaskClient, tiny_png: bytes, arguments: dict[str, str]
) -> None:
    answer = client.post("/anonymize", data=photo(tiny_png, **arguments))

    assert answer.status_code == 200
    check(answer, "/anonymize", "post")


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"data": {}}),
        (400, {"data": photo(b"")}),
        (400, {"data": b"x", "content_type": "text/plain"}),
        (406, {"data": photo(b"x"), "headers": {"Accept": "image/png"}}),
        (411, {"content_type": "image/png", "headers": {"Transfer-Encoding": "chunked"}}),
        (413, {"data": bytes(2**20 + 1), "content_type": "image/png"}),
        (415, {"data": photo(b"GIF89a")}),
        (422, {"data": photo(b"\x89PNG\r\n\x1a\n")}),
    ],
)
def test_refusals_are_as_described(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    answer = client.post("/predict", **arguments)

    assert answer.status_code == status
    check(answer, "/predict", "post")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/"])
def test_the_other_routes_answer_as_described(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    check(answer, path, "get")
