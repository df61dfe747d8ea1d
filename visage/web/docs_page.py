"""The contract as a page: what each route takes and answers, with examples that work when pasted."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from flask import render_template, request
from markupsafe import Markup, escape

Schema = dict[str, Any]

_HERE = Path(__file__).parent

# Files of `examples` by their suffix. They speak to where `make run` serves; on the page they speak to what serves it.
_LANGUAGES = {".sh": "curl", ".py": "Python, with requests", ".mjs": "JavaScript, in Node"}
_ADDRESS = "http://localhost:8080"


def docs_page() -> str:
    """The page, as HTML, for the address that it was asked for at."""
    return render_template(
        "docs.html",
        contract=_contract(),
        examples={each: _examples(each, request.url_root.rstrip("/")) for each in _example_names()},
        resolve=_resolve,
        codes=_codes,
        kind=_kind,
        prose=_prose,
        name_of=_name_of,
    )


@cache
def _contract() -> Schema:
    contract: Schema = json.loads((_HERE / "openapi.json").read_text())
    return contract


@cache
def _example_names() -> frozenset[str]:
    return frozenset(path.stem for path in (_HERE / "examples").iterdir())


def _examples(operation: str, address: str) -> list[tuple[str, str]]:
    """The languages that an operation has an example in, and the examples."""
    files = [(language, _HERE / "examples" / f"{operation}{suffix}") for suffix, language in _LANGUAGES.items()]
    return [(language, _text(file).replace(_ADDRESS, address)) for language, file in files]


@cache
def _text(file: Path) -> str:
    return file.read_text().strip()


def _resolve(described: Schema) -> Schema:
    """What is described, or what it refers to."""
    while "$ref" in described:
        target: Any = _contract()
        for key in described["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        described = target
    return described


def _codes(response: Schema) -> list[str]:
    """The codes of errors that an answer may have."""
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    found = [part.get("properties", {}).get("code", {}) for part in schema.get("allOf", [])]
    return [code for each in found for code in each.get("enum", [each.get("const")]) if code]


def _kind(schema: Schema) -> Markup:
    """What values a schema allows, in a few words."""
    if "$ref" in schema:
        name = _name_of(schema)
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "enum" in schema:
        words = Markup(", ").join(Markup("<code>{}</code>").format(value) for value in schema["enum"])
    elif "const" in schema:
        words = Markup("<code>{}</code>").format(schema["const"])
    elif any(choices := schema.get(key) for key in ("oneOf", "anyOf")):
        words = Markup(" or ").join(_kind(choice) for choice in choices or ())
    elif "prefixItems" in schema:
        words = Markup("list of {} {}s").format(len(schema["prefixItems"]), _kind(schema["prefixItems"][0]))
    elif "items" in schema:
        words = Markup("list of {}").format(_kind(schema["items"]))
    else:
        words = escape(schema.get("contentEncoding") or schema.get("format") or schema.get("type", "any"))
        least, most = schema.get("minimum"), schema.get("maximum")
        if most is not None:
            words += Markup(" {} to {}").format(least, most)
    if "default" in schema:
        words += Markup(", by default <code>{}</code>").format(schema["default"])
    return words


def _name_of(schema: Schema) -> str:
    """The name that a schema is referred to by; empty where it stands in place."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _prose(text: str) -> Markup:
    """Text with `code` in it."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704
