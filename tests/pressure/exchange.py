"""A minimal HTTP client: processor time that clients use is missing for the service."""

import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection

FENCE = "fence"

# Parts that differ between two responses to the same request.
_TIMINGS = re.compile(rb'"timings_ms":\{[^}]*\}')
_BOUNDARY = re.compile(r"boundary=(\w+)")


@dataclass(frozen=True)
class Request:
    """A request, and the `status` that it must get."""

    name: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    method: str = "POST"
    status: int = 200


@dataclass(frozen=True)
class Answer:
    """The parts of a response that must be the same for the same request."""

    status: int
    content_type: str
    face_count: str | None
    body: bytes


def form(photo: bytes, photo_field: str = "image", **fields: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a multipart form with a photo and other fields."""
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts.append(f'name="{photo_field}"; filename="photo"\r\n\r\n'.encode() + photo)
    lines = [f"--{FENCE}\r\nContent-Disposition: form-data; ".encode() + part + b"\r\n" for part in parts]
    return b"".join(lines) + f"--{FENCE}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={FENCE}"}


def connect(url: str) -> HTTPConnection:
    """A kept-alive connection, which reopens after the service has closed it."""
    target = urllib.parse.urlsplit(url)
    return HTTPConnection(target.hostname or "", target.port, timeout=60)


def ask(connection: HTTPConnection, request: Request, request_id: str = "alone") -> Answer:
    """Send `request` and return its response without timings and boundary.

    Raises:
        ValueError: the response has the ID of another request.
    """
    connection.request(request.method, request.path, request.body, {**request.headers, "X-Request-ID": request_id})
    response = connection.getresponse()
    body = response.read()
    if response.headers["X-Request-ID"] != request_id:
        raise ValueError(f"{request_id} got the response to {response.headers['X-Request-ID']}.")
    content_type = response.headers["Content-Type"]
    boundary = _BOUNDARY.search(content_type)
    if boundary:
        body = body.replace(boundary[1].encode(), FENCE.encode())
        content_type = content_type.replace(boundary[1], FENCE)
    return Answer(response.status, content_type, response.headers["X-Face-Count"], _TIMINGS.sub(b"", body))
