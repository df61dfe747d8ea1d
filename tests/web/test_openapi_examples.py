"""The examples in the OpenAPI document: present, valid, and what the service says."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.contract import CONTRACT, check_schema, photo, responses

OPERATIONS = [
    (path, method, operation) for path, methods in CONTRACT["paths"].items() for method, operation in methods.items()
]


def examples(media_type: dict[str, Any]) -> list[Any]:
    """The examples of a body in one media type."""
    named = [each["value"] for each in media_type.get("examples", {}).values()]
    return named + ([media_type["example"]] if "example" in media_type else [])


def bodies() -> Iterator[Any]:
    """Every body that has examples, as a parameter of a test."""
    for path, method, operation in OPERATIONS:
        contents = {"request": operation.get("requestBody", {}).get("content", {})}
        contents |= {status: each.get("content", {}) for status, each in responses(path, method).items()}
        for place, content in contents.items():
            for name, media_type in content.items():
                if examples(media_type) and name in {"application/json", "multipart/form-data"}:
                    yield pytest.param(media_type, id=f"{method} {path} {place} {name}")


@pytest.mark.parametrize("media_type", list(bodies()))
def test_an_example_matches_its_schema(media_type: dict[str, Any]) -> None:
    for example in examples(media_type):
        check_schema(example, media_type["schema"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_has_an_example_of_its_body_and_of_its_text_response(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    request = operation.get("requestBody", {}).get("content", {})
    success = next(each for status, each in responses(path, method).items() if status < "300").get("content", {})

    without = [
        name
        for name, media_type in (request | success).items()
        if media_type["schema"].get("format") != "binary" and not examples(media_type)
    ]

    assert without == []


@pytest.mark.parametrize(
    ("route", "arguments"),
    [
        ("/predict", {}),
        ("/predict", {"data": photo(b"")}),
        ("/predict", {"data": photo(b"x", detial="high")}),
        ("/predict", {"data": photo(b"x"), "headers": {"Accept": "image/png"}}),
        ("/predict", {"data": photo(b"GIF89a")}),
        ("/batches", {}),
        ("/batches", {"data": b"x", "content_type": "application/zip"}),
        ("/batches", {"data": b"x", "headers": {"Content-Encoding": "gzip"}}),
    ],
)
def test_the_example_of_an_error_is_what_the_service_says(
    client: FlaskClient, route: str, arguments: dict[str, Any]
) -> None:
    response = client.post(route, **arguments)

    assert response.json is not None
    described = responses(route, "post")[str(response.status_code)]["content"]["application/json"]["examples"]
    assert described[response.json["code"]]["value"] == response.json
