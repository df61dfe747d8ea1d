"""The OpenAPI document: valid, complete, and with the defaults and ranges of the code."""

import json
import re
from collections.abc import Iterator
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
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.web.openapi import document
from visage.web.parameters import Format, PictureFormat


def test_the_document_is_valid_openapi() -> None:
    validate(CONTRACT)


def test_the_document_is_the_one_that_the_tables_give() -> None:
    assert document() == CONTRACT, "run `make openapi`"


def test_no_schema_is_a_boolean_or_a_choice_that_generators_of_clients_cannot_read() -> None:
    schemas = list(nested(CONTRACT))

    assert [each for each in schemas if "oneOf" in each] == []
    assert [each for each in schemas if any(isinstance(each.get(key), bool) for key in ("items", "schema"))] == []
    assert [each for each in schemas if any(isinstance(one, bool) for one in properties(each).values())] == []


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nested(each)


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("properties", {})
    return found if isinstance(found, dict) else {}


def test_the_document_is_served_unchanged(client: FlaskClient) -> None:
    assert client.get("/openapi.json").json == CONTRACT


def test_the_document_has_the_version_of_the_package() -> None:
    assert CONTRACT["info"]["version"] == __version__


def test_the_described_routes_are_those_of_the_app(app: Flask) -> None:
    routes = {
        (re.sub("<(?:int:)?(.+?)>", r"{\1}", rule.rule), method.lower())
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
        for code in response["content"]["application/json"]["examples"]
    }


@pytest.mark.parametrize(
    "name", ["min_confidence", "max_faces", "min_face_size", "detail", "format", "annotated", "enhance_faces"]
)
def test_a_parameter_is_described_the_same_in_query_and_form(name: str) -> None:
    in_query = CONTRACT["components"]["parameters"][name]
    in_form = CONTRACT["components"]["schemas"]["PhotoForm"]["properties"][name]

    assert described_the_same(in_query, in_form)


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

    assert in_query["in"] == "header" or described_the_same(in_query, in_form[in_query["name"]])


def described_the_same(in_query: dict[str, Any], in_form: dict[str, Any]) -> bool:
    values = {key: value for key, value in in_form.items() if key != "description"}
    has_same_text = in_query["description"].startswith(in_form["description"])
    return bool(values == in_query["schema"] and has_same_text)


def test_described_defaults_of_anonymize_are_those_of_the_code() -> None:
    fields, default = CONTRACT["components"]["schemas"]["AnonymizeForm"]["properties"], AnonymizeOptions()

    assert values_and_default(fields["method"]) == described(Method, default.mask.method)
    assert values_and_default(fields["shape"]) == described(Shape, default.mask.shape)
    assert values_and_default(fields["detail"]) == described(Detail, default.detail)
    assert fields["format"]["enum"] == ["picture", "json"]
    assert default_of(fields["mask_scale"]) == default.mask.scale


def test_described_formats_of_enhance_are_those_of_the_code() -> None:
    fields = CONTRACT["components"]["schemas"]["EnhanceForm"]["properties"]

    assert fields["format"]["enum"] == [each.value for each in PictureFormat]


def default_of(field: dict[str, Any]) -> Any:
    """The default, which the description has in words."""
    text = field["description"].rpartition(" By default `")[2].removesuffix("`.")
    return text if field["type"] == "string" else json.loads(text)


def values_and_default(field: dict[str, Any]) -> tuple[list[str], str]:
    return field["enum"], default_of(field)


def described(kind: type[Enum], default: Enum) -> tuple[list[str], str]:
    return [each.value for each in kind], default.value


def test_described_defaults_are_those_of_the_code() -> None:
    fields = CONTRACT["components"]["schemas"]["PhotoForm"]["properties"]
    task = CONTRACT["components"]["schemas"]["BatchForm"]["properties"]["task"]

    assert default_of(fields["detail"]) == AnalyzeOptions().detail.value
    assert default_of(fields["min_face_size"]) == AnalyzeOptions().min_face_size
    assert fields["format"]["enum"] == [each.value for each in Format]
    assert values_and_default(task) == described(Task, Task.ANONYMIZE)


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
