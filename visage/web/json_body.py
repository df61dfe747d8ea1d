"""Photos in JSON, as other face services take them: `{"image": "<base64 or data URL>"}` with parameters beside it.

Python's parser takes up to nine times the memory of a text, and more if it has many escapes. So long strings are taken
out of the JSON before it is parsed, and a photo is decoded from its bytes.
"""

import json
import re
import secrets
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pybase64
from werkzeug.datastructures import FileStorage, MultiDict

from visage.errors import BodyTooLarge, NoImage, RequestError
from visage.strict_json import count_values, load_json

Fields = MultiDict[str, str]
Files = MultiDict[str, FileStorage]

# Values in a body. The most that a photo needs are a list of four numbers for each of 4,000 boxes in `keep` and in
# `cover`. Each empty list takes 3 bytes in JSON and 64 in memory.
_MAX_VALUES = 50_000

# Bytes of a string that is parsed, and of all JSON that is parsed: the most that parameters may need.
_MAX_STRING_BYTES, _MAX_PARSED_BYTES = 2**18, 2**20

# A string (RFC 8259, 7). It has no control characters. Nothing is tried twice, so the time grows with the length only.
_STRING = re.compile(rb'"[^"\\\0-\x1f]*+(?:\\[^\0-\x1f][^"\\\0-\x1f]*+)*+"')

# The text that stands for a long string while JSON is parsed. Nobody can guess it.
_PLACEHOLDER = secrets.token_hex(16)

# Escapes in base64: of the libraries that write JSON, several escape these characters. Line breaks have no meaning.
_ESCAPES = {
    rb"\/": b"/",
    rb"\u002f": b"/",
    rb"\u002F": b"/",
    rb"\u002b": b"+",
    rb"\u002B": b"+",
    rb"\u003d": b"=",
    rb"\u003D": b"=",
    rb"\r": b"",
    rb"\n": b"",
    rb"\t": b"",
}

# Characters of a data URL before its data (RFC 2397). The types of images are much shorter.
_MAX_DATA_URL_HEAD = 256

_EXPECTED = 'send an object such as {"image": "<base64 of the photo>"}.'
_INVALID = f"The body is not valid JSON; {_EXPECTED}"
_TOO_MANY = "The JSON has too many or too long values; send one photo, with nothing but parameters."


def parse_json(body: bytes, photo_fields: tuple[str, ...]) -> tuple[Fields, Files]:
    """Return the members of a JSON object as a form would have them: fields as text, and `photo_fields` as files.

    A long text that is not a photo becomes "…", and null an empty text.

    Raises:
        RequestError: the body is not a JSON object.
        BadParameter: an object has a name twice.
        NoImage: a photo is not base64.
        BodyTooLarge: the object has too many or too long values.
    """
    long_strings = list(_long_strings(body))
    content = _load(_without(body, long_strings))
    fields, files = Fields(), Files()
    for name, value in content.items():
        if name in photo_fields:
            if value is None:
                continue
            files.add(name, FileStorage(BytesIO(_decode(name, _original(value, body, long_strings))), "", name))
        else:
            text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
            fields.add(_shortened(name), _shortened(text))
    return fields, files


def _long_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of the content of each long string."""
    start, count = body.find(b'"'), 0
    while start >= 0:
        count += 1
        if count > 2 * _MAX_VALUES:
            raise BodyTooLarge(_TOO_MANY)
        string = _STRING.match(body, start)
        if not string:
            raise RequestError(_INVALID)
        if string.end() - start > _MAX_STRING_BYTES:
            yield start + 1, string.end() - 1
        start = body.find(b'"', string.end())


def _without(body: bytes, long_strings: list[tuple[int, int]]) -> bytes:
    """Return the JSON with a placeholder in each long string."""
    if not long_strings and len(body) <= _MAX_PARSED_BYTES:
        return body
    left = len(body) - sum(end - start for start, end in long_strings)
    if left > _MAX_PARSED_BYTES:
        raise BodyTooLarge(_TOO_MANY)
    pieces, at = [], 0
    for number, (start, end) in enumerate(long_strings):
        pieces += [body[at:start], f"{_PLACEHOLDER}{number}".encode()]
        at = end
    return b"".join([*pieces, body[at:]])


def _load(text: bytes) -> dict[str, Any]:
    if count_values(text) > _MAX_VALUES:
        raise BodyTooLarge(_TOO_MANY)
    try:
        content = load_json(text, "The JSON")
    except (ValueError, RecursionError):
        raise RequestError(_INVALID) from None
    if not isinstance(content, dict):
        raise RequestError(f"The body is JSON, but not an object; {_EXPECTED}")
    return content


def _original(value: Any, body: bytes, long_strings: list[tuple[int, int]]) -> Any:
    """Return the bytes of a long string, still escaped, in place of its placeholder; other strings as bytes."""
    if not isinstance(value, str):
        return value
    if not value.startswith(_PLACEHOLDER):
        return value.encode(errors="surrogatepass")
    start, end = long_strings[int(value.removeprefix(_PLACEHOLDER))]
    text: bytes | memoryview = memoryview(body)[start:end]
    if body.find(b"\\", start, end) < 0:
        return text
    for escape, character in _ESCAPES.items():
        # Without the escape, the same object.
        text = bytes(text).replace(escape, character)
    return text


def _shortened(text: str) -> str:
    return re.sub(rf"{_PLACEHOLDER}\d+", "…", text)


def _decode(name: str, text: Any) -> bytes:
    """Decode base64, also with line breaks or as a data URL (RFC 2397), whose type is ignored as that of a file."""
    if not isinstance(text, bytes | memoryview):
        raise NoImage(f"{name!r} must be a string: the bytes of the photo as base64, or a data URL with base64.")
    head, comma, _ = bytes(text[:_MAX_DATA_URL_HEAD]).lower().partition(b",")
    if comma and head.startswith(b"data:") and head.endswith(b";base64"):
        text = memoryview(text)[len(head) + 1 :]
    try:
        return pybase64.b64decode(_without_space(text), validate=True)
    except ValueError:
        raise NoImage(
            f"{name!r} is not valid base64; send the bytes of the photo as base64 or a data URL, not its name or URL."
        ) from None


def _without_space(text: bytes | memoryview) -> bytes | memoryview:
    """Remove the white space that a short string has after its escapes were parsed, and spaces of a long one."""
    return bytes(text).translate(None, b"\t\n\r ") if re.search(rb"[\t\n\r ]", text) else text
