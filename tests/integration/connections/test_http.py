"""Every request on a connection gets exactly one response, and invalid HTTP an error."""

import json

import pytest

from tests.integration.connections.sockets import (
    HEAD,
    SMALL,
    connect,
    predict_request,
    response_on,
)
from tests.support.service import Service


def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(
            3 * predict_request(SMALL) + b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        )
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 200 OK") == 4
    assert received.count(b'"faces":[{') == 3
    assert received.endswith(b'{"status":"ok"}\n')


def test_a_response_without_a_body_is_followed_by_the_next(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(2**16)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(2**16), b""))

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert head.count(b"HTTP/1.1") == received.count(b"HTTP/1.1") == 1
    assert received.endswith(b'{"status":"ok"}\n')


def test_bytes_after_a_huge_content_length_are_not_a_second_request(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nContent-Length: 1000000000000000\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
        )
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"body_too_large" in received


@pytest.mark.parametrize("chunks", [b"5\r\nhello??", b"zz\r\n"])
def test_a_request_with_an_invalid_body_has_one_response(service: Service, chunks: bytes) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(head + chunks)
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"bad_request" in received


def test_a_client_that_expects_100_continue_gets_it_once(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMALL))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"

        connection.sendall(SMALL)

        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_a_body_that_is_too_large_is_rejected_instead_of_100_continue(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99000000\r\n\r\n")

        status, body = response_on(connection)

    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        pytest.param(HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431, "headers_too_long", id="header of 9 KB"),
        pytest.param(HEAD + b"X: " + b"x" * 90000, 431, "headers_too_long", id="header of 90 KB"),
        pytest.param(HEAD + b"X: x\r\n" * 200 + b"\r\n", 431, "headers_too_long", id="200 headers"),
        pytest.param(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 414, "address_too_long", id="address of 9 KB"),
        pytest.param(b"GET / HTTP/1.1\nHost: here\n\n", 400, "bad_request", id="bare line feeds"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request", id="TLS"),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "bad_request", id="two Content-Lengths"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: nonsense\r\n\r\n0\r\n\r\n", 400, "bad_request", id="unknown transfer coding"
        ),
    ],
)
def test_invalid_http_is_rejected_in_the_shape_of_every_error(
    service: Service, request_bytes: bytes, status: int, code: str
) -> None:
    with connect(service) as connection:
        connection.sendall(request_bytes)

        answered_status, body = response_on(connection)

    assert (answered_status, json.loads(body)["code"]) == (status, code)
    assert json.loads(body)["error"].endswith(".")
