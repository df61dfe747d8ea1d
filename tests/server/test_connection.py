"""A request has a time limit, and more time for each byte of its body."""

import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.connecting import connected
from visage.server.connection import Connection
from visage.server.http.request_body import BufferBudget
from visage.server.http.upload_limits import UploadLimits
from visage.settings import MAX_OVERHEAD_BYTES, Settings
from visage.web.request_kinds import Kind

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n"
LIMIT = 10.0


@pytest.fixture
def budget() -> BufferBudget:
    return BufferBudget()


@pytest.fixture
def pair(budget: BufferBudget) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and its client's socket."""
    server, client = socket.socketpair()
    with server, client:
        yield connected(server, budget, LIMIT), client


def seconds_left(connection: Connection) -> float:
    return connection.deadline - time.monotonic()


def test_the_time_limit_begins_with_the_first_byte(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    connection.deadline = 0
    client.sendall(b"POST")

    connection.receive()

    assert seconds_left(connection) == pytest.approx(LIMIT, abs=1)


@pytest.mark.parametrize("bytes_", [b" /predict HTTP/1.1\r\nX: ", b" /" + b"x" * 1000])
def test_headers_get_no_more_time(pair: tuple[Connection, socket.socket], bytes_: bytes) -> None:
    connection, client = pair
    client.sendall(b"POST")
    connection.receive()
    connection.deadline -= 5
    client.sendall(bytes_)

    connection.receive()

    assert seconds_left(connection) < 5


def test_empty_lines_get_no_more_time(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    connection.deadline -= 5
    client.sendall(b"\r\n" * 10)

    connection.receive()

    assert seconds_left(connection) < 5


def test_a_body_gets_a_second_for_ten_kilobytes(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    client.sendall(HEAD)
    connection.receive()
    connection.deadline -= 8
    client.sendall(bytes(30_000))

    connection.receive()

    assert seconds_left(connection) == pytest.approx(5, abs=1)


def test_a_body_never_gets_more_than_the_time_limit_at_once(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    client.sendall(HEAD + bytes(100_000))

    connection.receive()

    assert seconds_left(connection) == pytest.approx(LIMIT, abs=1)


def test_the_sentence_about_a_late_body_tells_what_happened(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    client.sendall(HEAD + bytes(1234))
    connection.receive()

    assert connection.lateness.startswith("Only 1,234 of 500,000 bytes of the body arrived in 0 seconds")
    assert connection.lateness.endswith("check the connection and try again.")


def test_the_sentence_about_late_headers_tells_what_happened(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    client.sendall(b"POST / HTTP/1.1\r\nX-Never-Ends: ")
    connection.receive()

    assert connection.lateness.startswith("The headers did not arrive within 10 seconds")


def test_everything_that_a_connection_buffers_is_counted_until_it_closes(
    pair: tuple[Connection, socket.socket], budget: BufferBudget
) -> None:
    connection, client = pair
    client.sendall(HEAD + bytes(1000))
    connection.receive()

    assert 1000 < budget.in_memory < 1200
    connection.close()
    assert budget.in_memory == 0


LARGEST = 100_000
LONG_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + 8 * (b"X: " + 8000 * b"x" + b"\r\n")
LONG_CHUNK_LINES = 1000 * (b"32;" + 100 * b"x" + b"\r\n" + bytes(50) + b"\r\n")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(LONG_HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(LARGEST), id="headers"),
        pytest.param(
            HEAD.replace(b"Content-Length: 500000", b"Transfer-Encoding: chunked")
            + LONG_CHUNK_LINES
            + b"c350\r\n"
            + bytes(50_000)
            + b"\r\n0\r\n\r\n",
            id="lines of chunks",
        ),
    ],
)
def test_the_largest_body_fits_beside_its_headers_into_the_least_memory(tmp_path: Path, request_: bytes) -> None:
    least = {"VISAGE_MAX_BODY_BYTES": str(LARGEST), "VISAGE_BODY_MEMORY_BYTES": str(2 * LARGEST + MAX_OVERHEAD_BYTES)}
    limits = UploadLimits(Settings.from_environment(least | {"VISAGE_STATE_DIR": str(tmp_path)}))
    server, client = socket.socketpair()
    with server, client:
        connection = connected(server, limits.budget, LIMIT, lambda head: limits.open_body(head, Kind.PHOTO))
        with ThreadPoolExecutor(1) as threads:
            threads.submit(client.sendall, request_)
            while not (connection.parser.requests or connection.parser.error):
                select.select([server], [], [], 60)
                connection.receive()

    assert connection.parser.error is None
    assert connection.parser.requests[0].body.size == LARGEST


def test_100_continue_is_sent_once_for_each_request(pair: tuple[Connection, socket.socket]) -> None:
    connection, client = pair
    for _ in range(2):
        connection.send_100_continue()
    connection.start_clock()
    connection.send_100_continue()

    assert client.recv(1000) == 2 * b"HTTP/1.1 100 Continue\r\n\r\n"
