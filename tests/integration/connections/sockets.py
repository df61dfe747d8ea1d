"""Raw connections to a real service, with requests for them."""

import socket
from http.client import HTTPResponse

from tests.support.pictures import encode
from tests.support.service import Service
from tests.support.tiny_pack import TINY_FACES, draw

SMALL = encode(draw(faces=TINY_FACES), "PNG")

# Time limits in seconds: one that no test reaches, and one that tests wait for.
LONG_SECONDS = 300.0
SHORT_SECONDS = 3.0

SETTINGS = {
    "WEB_CONCURRENCY": "1",
    "VISAGE_BATCH_JOBS": "0",
    "VISAGE_MAX_BODY_BYTES": str(2**24),
    # Some tests send hundreds of photos of 4 MB at the same moment.
    "VISAGE_BODY_MEMORY_BYTES": str(2**30),
    "VISAGE_QUEUE": "64",
    "VISAGE_WAIT_SECONDS": "60",
}
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def response_on(connection: socket.socket) -> tuple[int, bytes]:
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def predict_request(photo: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(photo) + photo
