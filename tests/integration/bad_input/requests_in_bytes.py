"""Photos, and requests with them in bytes that no client library would send."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse

from tests.support.pictures import (
    encode,
)
from tests.support.service import Service
from tests.support.tiny_pack import TINY_FACES, draw

BODY_LIMIT = 2**20
PHOTO = draw(faces=TINY_FACES)
PNG = encode(PHOTO, "PNG")
JPEG = encode(PHOTO, "JPEG", quality=95)
MULTIPART = {"Content-Type": "multipart/form-data; boundary=fence"}
JSON = {"Content-Type": "application/json"}
FORM_END = b"\r\n--fence--\r\n"


def photo_part(content: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"'
    return b"--fence\r\n" + disposition + b"\r\n\r\n" + content


@dataclass(frozen=True)
class Chunks:
    """A body in parts. It has no length, so `requests` sends it chunked."""

    parts: Sequence[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)


# Raw requests that no client library would send.
START = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
RAW = START + b"Content-Type: image/png\r\n"
FORM = START + b"Content-Type: multipart/form-data; boundary=fence\r\n"
CHUNKED = FORM + b"Transfer-Encoding: chunked\r\n\r\n"


def form_with_file_name(file_name: bytes) -> bytes:
    """Return a request with a form whose photo has exactly this file name."""
    head = b'--fence\r\nContent-Disposition: form-data; name="image"; filename="' + file_name + b'"\r\n\r\n'
    body = head + PNG + FORM_END
    return FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body


def exchange(service: Service, request_bytes: bytes, shut_down: bool = True) -> tuple[int, bytes]:
    """Send bytes, then shut down the sending side if asked, and return status and body of the response."""
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request_bytes)
        if shut_down:
            connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.read()
