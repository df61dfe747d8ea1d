"""Bodies: the photo in its three ways, batches, and pictures in responses."""

import json
from collections.abc import Mapping
from typing import Any

from visage.web.parameters.table import Parameter, Parameters

Schema = dict[str, Any]

JSON = "application/json"
FORM = "multipart/form-data"

REQUEST_ID = {"X-Request-ID": "RequestId"}

PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp")

# The first bytes of a JPEG as base64: an example of text, not a photo.
JPEG_START = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD"


def binary(description: str = "") -> Schema:
    """Return the schema of bytes."""
    return {"type": "string", "format": "binary"} | ({"description": description} if description else {})


def events(name: str, example: str) -> Schema:
    """Return the content of server-sent events whose data are JSON of the schema `name`."""
    # There is no type: some tools take this for the schema of the text, others for that of an event.
    schema = {"description": f"Server-sent events. The data of each is JSON, `{name}`."}
    return {"text/event-stream": {"schema": schema, "example": example}}


def query_parameter(parameter: Parameter[Any, Any], *, also_in_form: bool) -> Schema:
    """Return a parameter of the query."""
    also = " Also accepted in the form." if also_in_form else ""
    return {
        "name": parameter.name,
        "required": False,
        "description": _description(parameter) + also,
        "schema": parameter.kind.schema,
    }


def photo_form(what: str, parameters: Parameters) -> Schema:
    """Return the schema of a form with `what`, a photo or a picture, and the parameters."""
    return _fields({"image": binary(_IMAGE)}, {each.name: _field(each.kind.schema, each) for each in parameters}, what)


def photo_json(what: str, parameters: Parameters) -> Schema:
    """Return the schema of JSON with `what`, a photo or a picture, and the parameters."""
    image = {
        "type": "string",
        "contentEncoding": "base64",
        "description": f"Base64, or a data URL with base64. {_ALIAS}",
    }
    members = {each.name: _field(each.kind.json_schema or each.kind.schema, each) for each in parameters}
    return _fields({"image": image}, members, what)


def batch_form(parameters: Parameters) -> Schema:
    """Return the schema of a form with the files of a batch and the parameters."""
    return {
        "type": "object",
        "description": "Photos and ZIP archives, under `files` or any other field names, and any of the parameters.",
        "properties": {
            "files": {"type": "array", "items": binary(), "minItems": 1},
            **{each.name: _field(each.kind.schema, each) for each in parameters},
        },
        "required": ["files"],
    }


def photo_content(form: str, body: str, example: Mapping[str, Any]) -> Schema:
    """Return the content of a request with one photo; `form` and `body` name the schemas of its fields.

    In a form, members of `example` that are not text are JSON.
    """
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in example.items()}
    raw = (*PICTURE_TYPES, "image/*", "application/octet-stream")
    return {
        FORM: {"schema": form, "example": {"image": "photo.jpg", **fields}},
        JSON: {"schema": body, "example": {"image": JPEG_START, **example}},
        **{media_type: {"schema": binary()} for media_type in raw},
    }


_ALIAS = "The name `file` is accepted, too."
_IMAGE = f"JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP. {_ALIAS}"


def _fields(image: Schema, parameters: Schema, what: str) -> Schema:
    return {
        "type": "object",
        "description": f"The {what}, and any of the parameters.",
        "properties": image | parameters,
        "required": ["image"],
        "additionalProperties": False,
    }


def _field(schema: Schema, parameter: Parameter[Any, Any]) -> Schema:
    return schema | {"description": _description(parameter)}


def _description(parameter: Parameter[Any, Any]) -> str:
    """Return what a parameter means, with its default in words.

    A default in the schema would have generated clients send it. It would override what the form says, if it is in the
    query, or count as required (openapi-typescript).
    """
    default = parameter.plain_default
    text = default if isinstance(default, str) else json.dumps(default)
    return parameter.description + ("" if default is None else f" By default `{text}`.")
