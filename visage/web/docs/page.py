"""The OpenAPI document as a web page, with examples that work when pasted."""

import json
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import render_template, request
from markupsafe import Markup, escape

from visage.web.docs.examples import requests_of, samples_of

Schema = dict[str, Any]

_DOCUMENT = Path(__file__).parent.parent / "openapi.json"


def docs_page(*, token: bool) -> str:
    """Return the page as HTML, with the URL of the current request in its examples; `token` says if one is needed."""
    return render_template(
        "docs.html",
        contract=_contract(),
        token=token,
        requests_of=partial(requests_of, url=request.url_root.rstrip("/"), token=token),
        samples_of=samples_of,
        resolve=_resolve,
        error_codes=_error_codes,
        type_of=_type_of,
        prose=_prose,
        reference_name=_reference_name,
    )


@cache
def _contract() -> Schema:
    contract: Schema = json.loads(_DOCUMENT.read_text(encoding="utf-8"))
    return contract


def _resolve(described: Schema) -> Schema:
    """Follow the references of an object; return it unchanged if it has none."""
    while "$ref" in described:
        target: Any = _contract()
        for key in described["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        described = target
    return described


def _error_codes(response: Schema) -> list[str]:
    """Return the error codes of a response: the names of its examples."""
    return list(response.get("content", {}).get("application/json", {}).get("examples", {}))


def _type_of(schema: Schema) -> Markup:
    """Return the type of a schema, with its values or range and its default, as short HTML."""
    if "$ref" in schema:
        return Markup('<a href="#schema-{0}">{0}</a>').format(_reference_name(schema))
    if "enum" in schema:
        text = Markup(", ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    elif "const" in schema:
        text = Markup("<code>{}</code>").format(schema["const"])
    elif any(choices := schema.get(key) for key in ("oneOf", "anyOf")):
        text = Markup(" or ").join(_type_of(choice) for choice in choices or ())
    elif "prefixItems" in schema:
        text = Markup("list of {} {}s").format(len(schema["prefixItems"]), _type_of(schema["prefixItems"][0]))
    elif "items" in schema:
        text = Markup("list of {}").format(_type_of(schema["items"]))
    else:
        text = escape(schema.get("contentEncoding") or schema.get("format") or schema.get("type", "any"))
        if "maximum" in schema:
            text += Markup(" {} to {}").format(schema.get("minimum"), schema["maximum"])
    if "default" in schema:
        text += Markup(", by default <code>{}</code>").format(schema["default"])
    return text


def _reference_name(schema: Schema) -> str:
    """Return the name of the schema that this one refers to; empty for a schema without a reference."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _prose(text: str) -> Markup:
    """Return text as HTML; words between backticks become code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704
