"""Requests that smuggle, waste time or confuse get one response, soon."""

import time
from contextlib import suppress

import pytest
import requests

from tests.integration.connections.sockets import connect, response_on
from tests.support.service import Service

HIDDEN = b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Request-ID: HIDDEN\r\n\r\n"


@pytest.mark.parametrize("digits", [4099, 4100, 4300, 4301])
def test_a_length_of_thousands_of_digits_smuggles_no_request(service: Service, digits: int) -> None:
    length = str(len(HIDDEN)).zfill(digits).encode()
    with connect(service) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + HIDDEN)
        received = b"".join(iter(lambda: connection.recv(2**16), b""))

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"HIDDEN" not in received


@pytest.mark.parametrize("chunks", [20_000, 200_000, 3_400_000])
def test_a_body_of_tiny_chunks_takes_no_time_from_others(service: Service, chunks: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        # Nobody reads the rest of so many.
        with suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(head + b"1\r\na\r\n" * chunks + b"0\r\n\r\n")
        started = time.monotonic()

        requests.get(service.url + "/healthz", timeout=60).raise_for_status()

    # It took minutes.
    assert time.monotonic() - started < 2


def test_a_body_of_tiny_chunks_is_rejected(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(head + b"1\r\na\r\n" * 20_000)

        status, body = response_on(connection)

    assert status == 400
    assert b"chunks" in body


def test_an_http_1_0_client_gets_no_100_continue(service: Service) -> None:
    head = b"POST /predict HTTP/1.0\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n"
    with connect(service) as connection:
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        time.sleep(0.5)
        connection.sendall(b"hello")
        received = connection.recv(100)

    assert received.startswith(b"HTTP/1.1 415 ")


def test_a_request_to_switch_protocols_is_answered_in_http_1(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABk\r\n\r\n"
        )
        received = b"".join(iter(lambda: connection.recv(2**16), b""))

    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.endswith(b'{"status":"ok"}\n')
