"""Requests that smuggle, waste time or confuse get one response, soon."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import pytest
import requests

from tests.integration.connections.sockets import connect, response_on
from tests.support.service import Service
from tests.support.waiting import wait_for

# The service stops reading bodies of tiny chunks after fewer bytes than these.
MIN_SENT_BYTES = 2**14

HIDDEN = b"GET /readyz HTTP/1.1\r\nHost: x\r\nX-Request-ID: HIDDEN\r\n\r\n"


@pytest.mark.parametrize("digits", [4099, 4100, 4300, 4301])
def test_a_length_of_thousands_of_digits_smuggles_no_request(service: Service, digits: int) -> None:
    length = str(len(HIDDEN)).zfill(digits).encode()
    with connect(service) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + HIDDEN)
        received = b"".join(iter(lambda: connection.recv(2**16), b""))

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"HIDDEN" not in received


@pytest.mark.parametrize("digits", [5, 100, 4100, 4200])
def test_a_client_behind_a_proxy_gets_its_own_response(service: Service, digits: int) -> None:
    """The bytes of two clients as HAProxy forwards them on one connection; it counts the zeros as one length."""
    hidden = b"GET /docs HTTP/1.1\r\nX-Ignore: "
    length = str(len(hidden)).zfill(digits).encode()
    first = b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n" + hidden
    second = b"GET /readyz HTTP/1.1\r\nHost: victim\r\nConnection: close\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(first + second)
        received = b"".join(iter(lambda: connection.recv(2**16), b""))

    statuses = re.findall(rb"HTTP/1.1 (\d+)", received)
    # Either both are read as the proxy reads them, or the connection is closed, and the proxy repeats the second.
    assert statuses == ([b"405", b"200"] if digits == 5 else [b"400"])
    assert b"<html" not in received.lower()


@pytest.mark.parametrize("chunks", [20_000, 200_000, 3_400_000])
def test_a_body_of_tiny_chunks_takes_no_time_from_others(service: Service, chunks: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        sent = send(connection, head + b"1\r\na\r\n" * chunks + b"0\r\n\r\n")

        seconds = seconds_of_healthz(service)

    assert sent > MIN_SENT_BYTES
    # It took minutes.
    assert seconds < 2


def send(connection: socket.socket, data: bytes) -> int:
    """Send until the service closes the connection, because nobody reads the rest, and return the number of bytes."""
    sent = 0
    with suppress(OSError):
        while sent < len(data):
            sent += connection.send(memoryview(data)[sent : sent + 2**16])
    return sent


def seconds_of_healthz(service: Service) -> float:
    started = time.monotonic()
    requests.get(service.url + "/healthz", timeout=60).raise_for_status()
    return time.monotonic() - started


@pytest.mark.parametrize("size", [5, 20, 64, 1000])
def test_streams_of_small_chunks_do_not_delay_others(service: Service, size: int) -> None:
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = 2**14 // size * (b"%x\r\n" % size + bytes(size) + b"\r\n")
    sent = [0] * 30
    has_ended = Event()

    def stream(number: int) -> None:
        while not has_ended.is_set():
            # A rejected request ends its connection.
            with connect(service) as connection, suppress(OSError):
                connection.sendall(request)
                while not has_ended.is_set():
                    connection.sendall(chunks)
                    sent[number] += len(chunks)

    with ThreadPoolExecutor(len(sent)) as threads:
        streams = [threads.submit(stream, number) for number in range(len(sent))]
        try:
            assert wait_for(lambda: all(sent))
            before = sum(sent)
            seconds = [seconds_of_healthz(service) for _ in range(30)]
            sent_meanwhile = sum(sent) - before
        finally:
            has_ended.set()
        for each in streams:
            each.result()

    assert sent_meanwhile > len(sent) * MIN_SENT_BYTES
    # The slowest takes 0.03 to 0.2 seconds on an idle machine. It took 10 to 23.
    assert max(seconds) < 5


def test_outage_by_many_bodies_of_tiny_chunks(service: Service) -> None:
    """70 bodies of 200,000 chunks at the same time had stopped the service for minutes."""
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 200_000

    def attack(_number: int) -> tuple[int, bytes]:
        with connect(service) as connection:
            sent = send(connection, request + b"0\r\n\r\n")
            with suppress(OSError):
                return sent, connection.recv(100)
        return sent, b""

    with ThreadPoolExecutor(70) as threads:
        attacks = [threads.submit(attack, number) for number in range(70)]
        seconds = [seconds_of_healthz(service)]
        while not all(each.done() for each in attacks):
            seconds.append(seconds_of_healthz(service))
        sent, responses = zip(*(each.result() for each in attacks), strict=True)

    assert max(seconds) < 2
    assert min(sent) > MIN_SENT_BYTES
    # Some clients lose the response, because they go on sending.
    assert {response[:12] for response in responses} <= {b"HTTP/1.1 400", b""}
    assert any(responses)


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
