"""Photos in JSON, as other face services take them: `{"image": "<base64 or data URL>"}` with parameters beside it."""

import json
from io import BytesIO
from threading import Lock
from typing import Any

import pybase64
from werkzeug.datastructures import FileStorage, MultiDict

from visage.errors import BodyTooLarge, NoImage, RequestError

Fields = MultiDict[str, str]
Files = MultiDict[str, FileStorage]

# Parsing takes up to eight times the body in memory, if it has characters beyond ASCII. It holds the GIL anyway.
_parsing = Lock()

# Values in a body. The most that a photo needs are a list of four numbers for each of 4,000 boxes in `keep` and in
# `cover`. Each empty list takes 3 bytes in JSON and 64 in memory.
_MAX_VALUES = 50_000

_EXPECTED = 'send an object such as {"image": "<base64 of the photo>"}.'


# The white space of JSON (RFC 8259, 2), which base64 may contain. `split` would make a list of its parts.
_WITHOUT_SPACE = dict.fromkeys(map(ord, "\t\n\r "))


def parse_json(body: bytes, photo_fields: tuple[str, ...]) -> tuple[Fields, Files]:
    """Return the members of a JSON object as a form would have them: fields as text, and `photo_fields` as files.

    Raises:
        RequestError: the body is not a JSON object.
        NoImage: a photo is not base64.
        BodyTooLarge: the object has too many values.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise BodyTooLarge("The JSON has too many values; send one photo, with nothing but parameters.")
    with _parsing:
        return _parse(body, photo_fields)


def _parse(body: bytes, photo_fields: tuple[str, ...]) -> tuple[Fields, Files]:
    try:
        # orjson takes thirteen times the body in memory; this takes two times.
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError(f"The body is not valid JSON; {_EXPECTED}") from None
    if not isinstance(content, dict):
        raise RequestError(f"The body is JSON, but not an object; {_EXPECTED}")
    fields, files = Fields(), Files()
    for name, value in content.items():
        if value is None:
            continue
        if name in photo_fields:
            files.add(name, FileStorage(BytesIO(_decode(name, value)), "", name))
        else:
            fields.add(name, value if isinstance(value, str) else json.dumps(value))
    return fields, files


def _decode(name: str, value: Any) -> bytes:
    """Decode base64, also with line breaks or as a data URL (RFC 2397), whose type is ignored as that of a file."""
    if not isinstance(value, str):
        raise NoImage(f"{name!r} must be a string: the bytes of the photo as base64, or a data URL with base64.")
    head, comma, data = value.partition(",")
    if comma and head.lower().startswith("data:") and head.lower().endswith(";base64"):
        value = data
    try:
        # Text beyond ASCII is not base64, and `translate` would take 50 times as long.
        return pybase64.b64decode(value.translate(_WITHOUT_SPACE) if value.isascii() else value, validate=True)
    except ValueError:
        raise NoImage(
            f"{name!r} is not valid base64; send the bytes of the photo as base64 or a data URL, not its name or URL."
        ) from None
