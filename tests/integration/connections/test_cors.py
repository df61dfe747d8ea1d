"""Pages of an allowed origin can read every error, also those of requests that never reach the app."""

import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.integration.connections.sockets import SMALL, connect
from tests.support.service import Service, serving

APP, OTHER = "https://app.example", "https://other.example"
LIMIT = 2**20
TOKEN = "s3cret"


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("cors") / "log"
    settings = {
        "VISAGE_CORS_ORIGINS": APP,
        "VISAGE_MAX_BODY_BYTES": str(LIMIT),
        "VISAGE_BODY_MEMORY_BYTES": str(2 * LIMIT + 2**16),
        "VISAGE_BODY_SECONDS": "1",
        "VISAGE_ALLOWED_HOSTS": "localhost",
        "VISAGE_API_TOKEN": TOKEN,
    }
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0", **settings) as service:
        yield service


def head(
    line: str, *headers: str, origin: str = APP, host: str = "localhost", before_origin: tuple[str, ...] = ()
) -> bytes:
    return "\r\n".join((line, f"Host: {host}", *before_origin, f"Origin: {origin}", *headers, "\r\n")).encode()


PREDICT, JPEG, TOKENED = "POST /predict HTTP/1.1", "Content-Type: image/jpeg", f"Authorization: Bearer {TOKEN}"
BATCH, CHUNKED = "POST /batches HTTP/1.1", "Transfer-Encoding: chunked"

ERRORS = {
    "a photo that is too large": (head(PREDICT, JPEG, TOKENED, f"Content-Length: {LIMIT + 1}"), 413),
    "a body that does not arrive": (head(PREDICT, JPEG, TOKENED, "Content-Length: 100") + b"x", 408),
    "headers that do not arrive": (head(PREDICT)[:-2], 408),
    "a long address": (head(f"POST /predict?{9000 * 'x'} HTTP/1.1"), 414),
    "a long header": (head(PREDICT, f"X: {9000 * 'x'}"), 431),
    "a long header before Origin": (head(PREDICT, before_origin=(f"X: {9000 * 'x'}",)), 431),
    "many headers before Origin": (head(PREDICT, before_origin=("X: x",) * 200), 431),
    "endless headers": (head(PREDICT, *(20 * [f"X: {8000 * 'x'}"])), 431),
    "invalid HTTP": (head(PREDICT, "no header"), 400),
    "tiny chunks": (head(PREDICT, JPEG, TOKENED, CHUNKED) + 20_000 * b"1\r\na\r\n", 400),
    "a batch without the token": (head(BATCH, "Content-Length: 100"), 401),
    "a batch for another host": (head(BATCH, "Content-Length: 100", host="evil.example"), 421),
    "an error of the app": (head(PREDICT, JPEG, TOKENED, "Content-Length: 4") + b"text", 415),
    "a photo without the token": (head(PREDICT, JPEG, "Content-Length: 100"), 401),
    "a photo for another host": (head(PREDICT, JPEG, "Content-Length: 100", host="evil.example"), 421),
    "a wrong method": (head("GET /predict HTTP/1.1"), 405),
    "an unknown path": (head("GET /nothing HTTP/1.1"), 404),
}
# Those that come before the last byte of the headers, or without it.
EARLY = ("headers that do not arrive", "endless headers", "invalid HTTP")

READABLE = {
    "Access-Control-Allow-Origin": APP,
    "Access-Control-Expose-Headers": (
        "Location, Retry-After, X-Face-Count, X-Image-Depth, X-Original-Format, X-Request-ID"
    ),
    "Vary": "Origin",
}


def response(service: Service, *pieces: bytes) -> HTTPResponse:
    with connect(service) as connection:
        for piece in pieces:
            connection.sendall(piece)
            # Otherwise the service might receive two pieces at once.
            time.sleep(0.05 if len(pieces) > 1 else 0)
        return received_on(connection)


def received_on(connection: socket.socket) -> HTTPResponse:
    received = HTTPResponse(connection)
    received.begin()
    received.read()
    return received


def cors_headers(received: HTTPResponse) -> dict[str, str]:
    return {name: value for name, value in received.getheaders() if name.startswith("Access-Control") or name == "Vary"}


@pytest.mark.parametrize("error", ERRORS)
def test_a_page_of_an_allowed_origin_can_read_the_error(service: Service, error: str) -> None:
    request, status = ERRORS[error]

    received = response(service, request)

    assert received.status == status
    assert cors_headers(received) == READABLE


@pytest.mark.parametrize("after", ["Origin: htt", f"Origin: {APP}", f"Origin: {APP}\r\n"], ids=["in", "at", "after"])
@pytest.mark.parametrize("error", EARLY)
def test_a_page_can_read_the_error_if_its_origin_came_in_another_packet(
    service: Service, error: str, after: str
) -> None:
    request, status = ERRORS[error]
    before, separator, rest = request.partition(after.encode())

    received = response(service, before + separator, rest)

    assert received.status == status
    assert cors_headers(received) == READABLE


def test_a_page_can_read_that_too_many_photos_are_being_received(service: Service) -> None:
    # Two such photos exceed the budget.
    large = head(PREDICT, JPEG, TOKENED, f"Content-Length: {LIMIT * 3 // 4}")
    with connect(service) as connection:
        connection.sendall(large + bytes(LIMIT * 3 // 4 - 1))
        time.sleep(0.2)

        received = response(service, large)

    assert received.status == 429
    assert received.getheader("Retry-After") == "1"
    assert cors_headers(received) == READABLE


@pytest.mark.parametrize("length", [LIMIT + 1, 4], ids=["before the app", "in the app"])
def test_other_pages_cannot_read_errors_but_caches_know_that_it_depends(service: Service, length: int) -> None:
    request = head(PREDICT, JPEG, f"Content-Length: {length}", origin=OTHER) + b"text"

    assert cors_headers(response(service, request)) == {"Vary": "Origin"}


def test_a_result_varies_by_type_and_origin(service: Service) -> None:
    request = head(PREDICT, "Content-Type: image/png", TOKENED, f"Content-Length: {len(SMALL)}") + SMALL

    received = response(service, request)

    assert received.status == 200
    assert received.getheader("Vary") == "Accept, Origin"
    assert received.getheader("Access-Control-Allow-Origin") == APP
