"""Validation of responses against openapi.json."""

import io
import json
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from werkzeug.test import TestResponse

from tests.support.paths import ROOT

CONTRACT: dict[str, Any] = json.loads((ROOT / "visage" / "web" / "openapi.json").read_text())

BATCH_ROUTES = [(path, method) for path in CONTRACT["paths"] if "batches" in path for method in CONTRACT["paths"][path]]

REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:contract", Resource.from_contents(CONTRACT | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
)


def check(response: TestResponse, path: str, method: str) -> None:
    """Assert that headers and body of a response match the contract for its route, status and media type."""
    described = responses(path, method)[str(response.status_code)]
    for name in described.get("headers", {}):
        assert name in response.headers or (
            name in {"X-Face-Count", "X-Image-Depth", "X-Original-Format"}
            and not str(response.mimetype).startswith("image/")
        )
    if "content" not in described:
        assert response.data == b""
        return
    media_type = described["content"][response.mimetype]
    if response.mimetype == "application/json":
        check_schema(response.json, media_type["schema"])
    if response.status_code >= 400:
        assert response.json is not None
        assert response.json["code"] in media_type["examples"]


def check_schema(value: Any, schema: dict[str, Any]) -> None:
    schema = json.loads(json.dumps(schema).replace('"#/', '"urn:contract#/'))
    Draft202012Validator(schema, registry=REGISTRY).validate(value)


def responses(path: str, method: str) -> dict[str, Any]:
    """The responses of a route in the contract, by status."""
    components = CONTRACT["components"]["responses"]
    described = CONTRACT["paths"][path][method]["responses"].items()
    return {
        status: components[each["$ref"].rpartition("/")[2]] if "$ref" in each else each for status, each in described
    }


def photo(content: bytes, **fields: str) -> dict[str, Any]:
    return {"image": (io.BytesIO(content), "photo.png"), **fields}
