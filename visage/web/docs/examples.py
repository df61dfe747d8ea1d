"""The code on the page of the API: how to call an operation in several languages, and what it answers."""

import json
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

Operation = Mapping[str, Any]

_FILES = Path(__file__).parent.parent / "examples"

# Languages of the examples by the suffix of their files.
_LANGUAGES = {
    ".sh": "curl",
    ".py": "Python, with requests",
    ".mjs": "JavaScript, in Node",
    ".html": "HTML and JavaScript, in a browser",
}

# The service in the example files, as `make run` starts it. The page shows the URL of the current request instead.
_EXAMPLE_URL = "http://localhost:8080"

# What the example files have for a service with a token, in the syntax of each language.
_TOKEN = re.compile(
    r"-H 'Authorization: Bearer TOKEN' "
    r'|\n *headers={"Authorization": "Bearer TOKEN"},'
    r'|session\.headers\["Authorization"\] = "Bearer TOKEN"\n'
    r'|Authorization: "Bearer TOKEN", '
    r'|\n *headers: { Authorization: "Bearer TOKEN" },'
    r'|, headers: { Authorization: "Bearer TOKEN" }'
)

# A parameter in a path, such as {batch_id}; curl's line has its name in capitals.
_IN_PATH = re.compile(r"{(\w+)}")

# Where curl writes what is no text.
_OUTPUTS = {"application/zip": " -o result.zip", "image/jpeg": " -o picture.jpg"}

# Lists of numbers, which take a line each otherwise.
_NUMBERS = re.compile(r"\[\s+([-\d.,\s]+?)\s+\]")


def requests_of(method: str, path: str, operation: Operation, url: str, *, token: bool) -> list[tuple[str, str]]:
    """Return examples of a request as pairs of language and code; a line of curl if there are no files of examples.

    `url` is that of the service. With `token` the examples of operations that need one send `TOKEN`.
    """
    texts = _files(operation["operationId"]) or [(_LANGUAGES[".sh"], _curl(method, path, operation))]
    if not token or operation.get("security") == []:
        texts = [(language, _TOKEN.sub("", text)) for language, text in texts]
    return [(language, text.replace(_EXAMPLE_URL, url)) for language, text in texts]


def samples_of(operation: Operation) -> list[str]:
    """Return the responses of an operation that succeeds as HTTP, one for each type of content with an example.

    A response that is a file, or empty, has a head alone.
    """
    successes = _successes(operation)
    samples = [
        _response(status, media_type, content["example"])
        for status, response in successes
        for media_type, content in response.get("content", {}).items()
        if "example" in content
    ]
    status, response = successes[0]
    return samples or [_response(status, next(iter(response.get("content", {})), ""), "")]


def _successes(operation: Operation) -> list[tuple[str, Any]]:
    return [(status, response) for status, response in operation["responses"].items() if status < "300"]


@cache
def _files(operation_id: str) -> list[tuple[str, str]]:
    files = [(language, _FILES / f"{operation_id}{suffix}") for suffix, language in _LANGUAGES.items()]
    return [(language, file.read_text(encoding="utf-8").strip()) for language, file in files if file.exists()]


def _curl(method: str, path: str, operation: Operation) -> str:
    method = "" if method == "get" else f"-X {method.upper()} "
    photo = "-F image=@photo.jpg " if "requestBody" in operation else ""
    _, response = _successes(operation)[0]
    output = _OUTPUTS.get(next(iter(response.get("content", {})), ""), "")
    path = _IN_PATH.sub(lambda name: name[1].upper(), path)
    return f"curl -H 'Authorization: Bearer TOKEN' {method}{photo}{_EXAMPLE_URL}{path}{output}"


def _response(status: str, media_type: str, example: Any) -> str:
    head = f"HTTP/1.1 {status} {HTTPStatus(int(status)).phrase}"
    if media_type:
        head += f"\nContent-Type: {media_type}"
    body = example if isinstance(example, str) else json.dumps(example, indent=2)
    return f"{head}\n\n{_NUMBERS.sub(_on_one_line, body)}".strip()


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{', '.join(numbers[1].replace(',', ' ').split())}]"
