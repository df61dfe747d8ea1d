"""The OpenAPI document: valid, complete, and with the defaults and ranges of the code."""

import re
from enum import Enum
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from tests.support.contract import BATCH_ROUTES, CONTRACT, photo, responses
from visage import __version__
from visage.anonymize.masks import Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import Task
from visage.errors import BatchError, RequestError, VisageError
from visage.faces.analyzer import Options
from visage.faces.search import Detail
from visage.web.parameters import Format, PictureFormat


def test_the_document_is_valid_openapi() -> None:
    validate(CONTRACT)


def test_the_document_is_served_unchanged(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == CONTRACT


def test_the_document_has_the_version_of_the_package() -> None:
    assert CONTRACT["info"]["version"] == __version__


def test_the_described_routes_are_those_of_the_app(app: Flask) -> None:
    routes = {
        (re.sub("<(.+?)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    described = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}

    assert routes == described


def test_every_expected_error_is_described_with_its_status() -> None:
    photo, batch = described_errors(("/predict", "post")), described_errors(*BATCH_ROUTES)

    assert errors(RequestError) <= photo
    assert {("429", "queue_full"), ("503", "wait_timeout"), ("500", "internal_error")} <= photo
    assert errors(BatchError) | {("429", "queue_full")} <= batch


def errors(kind: type[VisageError]) -> set[tuple[str, str]]:
    """Return status and code of an error class and of its subclasses."""
    return {(str(kind.status), kind.code)}.union(*map(errors, kind.__subclasses__()))


def described_errors(*routes: tuple[str, str]) -> set[tuple[str, str]]:
    return {
        (status, code)
        for route in routes
        for status, response in responses(*route).items()
        if status >= "400"
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    }


@pytest.mark.parametrize(
    "name", ["min_confidence", "max_faces", "min_face_size", "detail", "format", "annotated", "enhance_faces"]
)
def test_a_parameter_is_described_the_same_in_query_and_form(name: str) -> None:
    in_form = dict(CONTRACT["components"]["schemas"]["PhotoForm"]["properties"][name])
    in_form.pop("description")

    assert CONTRACT["components"]["parameters"][name]["schema"] == in_form


@pytest.mark.parametrize(
    ("form", "parameter"),
    [
        (form, parameter["$ref"].rpartition("/")[2])
        for form, path in (("AnonymizeForm", "/anonymize"), ("BatchForm", "/batches"))
        for parameter in CONTRACT["paths"][path]["post"]["parameters"]
    ],
)
def test_a_parameter_of_anonymize_and_batches_is_described_the_same_in_query_and_form(
    form: str, parameter: str
) -> None:
    in_query = CONTRACT["components"]["parameters"][parameter]
    in_form = CONTRACT["components"]["schemas"][form]["properties"]

    assert in_query["in"] == "header" or in_form[in_query["name"]] == in_query["schema"]


def test_described_defaults_of_anonymize_are_those_of_the_code() -> None:
    parameters, default = CONTRACT["components"]["parameters"], AnonymizeOptions()

    assert parameters["method"]["schema"] == described(Method, default.mask.method)
    assert parameters["shape"]["schema"] == described(Shape, default.mask.shape)
    assert parameters["anonymize_detail"]["schema"] == described(Detail, default.detail)
    assert parameters["picture_format"]["schema"]["enum"] == [each.value for each in PictureFormat]
    assert parameters["mask_scale"]["schema"]["default"] == default.mask.scale


def described(kind: type[Enum], default: Enum) -> dict[str, Any]:
    return {"type": "string", "enum": [each.value for each in kind], "default": default.value}


def test_described_defaults_are_those_of_the_code() -> None:
    parameters = CONTRACT["components"]["parameters"]

    assert parameters["detail"]["schema"]["default"] == Options().detail.value
    assert parameters["min_face_size"]["schema"]["default"] == Options().min_face_size
    assert parameters["format"]["schema"]["enum"] == [each.value for each in Format]
    assert parameters["task"]["schema"] == described(Task, Task.ANONYMIZE)


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
def test_described_ranges_are_enforced(
    client: FlaskClient, tiny_png: bytes, parameter: str, edge: str, beyond: str
) -> None:
    route = "/anonymize" if parameter == "mask_scale" else "/predict"
    limit = CONTRACT["components"]["parameters"][parameter]["schema"][edge]

    at_the_limit = client.post(route, query_string={parameter: limit}, data=photo(tiny_png))
    beyond_it = client.post(route, query_string={parameter: beyond}, data=photo(tiny_png))

    assert (at_the_limit.status_code, beyond_it.status_code) == (200, 400)
