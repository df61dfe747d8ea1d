"""Slow clients do not delay others: a real service, with sockets that send and read slowly."""

import json
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.processes import open_connections
from tests.support.service import Service, serving
from tests.support.tiny_pack import TINY_FACES, draw
from tests.support.waiting import wait_for

SMALL = encode(draw(faces=TINY_FACES), "PNG")

# Time limits in seconds: one that no test reaches, and one that tests wait for.
LONG_SECONDS = 300.0
SHORT_SECONDS = 3.0

STALLED = 30

SETTINGS = {
    "WEB_CONCURRENCY": "1",
    "VISAGE_BATCH_JOBS": "0",
    "VISAGE_MAX_BODY_BYTES": str(2**24),
    "VISAGE_QUEUE": "64",
    "VISAGE_WAIT_SECONDS": "60",
}

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose time limit is longer than any test."""
    log = tmp_path_factory.mktemp("slow_clients") / "log"
    with serving(log, tiny_pack, VISAGE_BODY_SECONDS=str(LONG_SECONDS), **SETTINGS) as service:
        yield service


@pytest.fixture(scope="module")
def impatient_service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose time limit is short."""
    log = tmp_path_factory.mktemp("impatient_service") / "log"
    with serving(log, tiny_pack, VISAGE_BODY_SECONDS=str(SHORT_SECONDS), **SETTINGS) as service:
        yield service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def response_on(connection: socket.socket) -> tuple[int, bytes]:
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def assert_served(service: Service) -> None:
    """Check that photos are answered while other clients are slow."""
    for _ in range(5):
        answer = service.post(SMALL)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["faces"]) == len(TINY_FACES)


def readable(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """The connections that have received bytes or were closed."""
    return select.select(connections, [], [], 0)[0]


BEGINNINGS = {
    "an endless head": HEAD + b"X-Never-Ends: ",
    "no body": HEAD + b"Content-Length: 100000\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 100000\r\n\r\n" + SMALL[:100],
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_stalled_requests_do_not_delay_others(service: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        assert_served(service)

        assert readable(stalled) == []


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_stalled_requests_time_out(impatient_service: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        started = time.monotonic()
        stalled = [stack.enter_context(connect(impatient_service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        for connection in stalled:
            status, body = response_on(connection)
            assert (status, json.loads(body)["code"]) == (408, "body_timeout")
        assert SHORT_SECONDS < time.monotonic() - started < SHORT_SECONDS + 20


def test_bodies_sent_byte_by_byte_do_not_delay_others(service: Service) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")

        for _ in range(5):
            for connection in stalled:
                connection.sendall(b"x")
            assert_served(service)

        assert readable(stalled) == []


def test_bodies_sent_byte_by_byte_time_out(impatient_service: Service) -> None:
    with connect(impatient_service) as connection:
        started = time.monotonic()
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        while not readable([connection]):
            connection.sendall(b"x")
            time.sleep(0.05)

        assert response_on(connection)[0] == 408
        assert time.monotonic() - started < SHORT_SECONDS + 20


def test_unread_responses_do_not_delay_others(service: Service) -> None:
    before, request = len(predictions(service)), predict_request(noise(1200))
    with ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(slow_connection(service)).sendall(request)
        assert wait_for(lambda: len(predictions(service)) == before + STALLED)

        assert_served(service)

        assert open_connections(service) >= STALLED


def test_unread_responses_are_closed_after_the_time_limit(impatient_service: Service) -> None:
    before, request = len(predictions(impatient_service)), predict_request(noise(1200))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(slow_connection(impatient_service)).sendall(request)
        assert wait_for(lambda: len(predictions(impatient_service)) == before + 3)

        assert wait_for(lambda: open_connections(impatient_service) == 0)


def predictions(service: Service) -> list[str]:
    """The log lines of successful photos."""
    return [line for line in service.log.read_text().splitlines() if '"route":"/predict","status":200' in line]


def test_the_newest_unread_responses_are_kept(tiny_pack: Path, tmp_path: Path) -> None:
    # The enhanced image has 13 MB. With a limit of 5 million pixels, a worker buffers 20 MB.
    picture = encode(np.zeros((700, 700, 3), np.uint8), "BMP")
    request = HEAD.replace(b"predict", b"enhance") + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    settings = {"VISAGE_MAX_IMAGE_PIXELS": "5000000", "VISAGE_BODY_SECONDS": "300", "VISAGE_BATCH_JOBS": "0"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service, ExitStack() as stack:
        clients = [stack.enter_context(slow_connection(service)) for _ in range(4)]
        for count, connection in enumerate(clients, 1):
            connection.sendall(request)
            assert wait_for(lambda: service.log.read_text().count('"route":"/enhance"') == count)  # noqa: B023

        assert wait_for(lambda: open_connections(service) == 1)
        status, body = response_on(clients[-1])

    assert (status, len(body)) == (200, 54 + 3 * 2100**2)


def noise(side: int) -> bytes:
    """A photo whose annotated image is larger than the buffers of both sockets."""
    return encode(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8), "BMP")


def predict_request(photo: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(photo) + photo


def slow_connection(service: Service) -> socket.socket:
    """A client with a tiny receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    return connection


def test_a_response_that_is_read_slowly_arrives_completely(service: Service) -> None:
    photo = noise(1000)
    quick = requests.post(service.url + "/predict", files={"image": photo}, timeout=60).json()
    with slow_connection(service) as connection:
        connection.sendall(predict_request(photo).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        received = bytearray()
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.01)

    slow = json.loads(bytes(received).partition(b"\r\n\r\n")[2])
    assert slow["annotated_jpeg"] == quick["annotated_jpeg"]


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
def test_a_request_with_an_invalid_unread_body_has_one_response(service: Service, chunks: bytes) -> None:
    # Without a Content-Type, Flask does not read the body.
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(head + chunks)
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"no_image" in received


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


def test_announced_bodies_beyond_the_buffer_budget_do_not_delay_others(service: Service) -> None:
    announced = HEAD + b"Content-Length: %d\r\n\r\n" % 2**24
    with ExitStack() as stack:
        for _ in range(16):
            connection = stack.enter_context(connect(service))
            connection.sendall(announced + b"x" * 2**20)
        assert_served(service)


def test_clients_beyond_the_limit_of_open_files_wait_until_stalled_ones_time_out(
    tiny_pack: Path, tmp_path: Path
) -> None:
    few_files = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    start = few_files + f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_BODY_SECONDS": str(SHORT_SECONDS)}
    with serving(tmp_path / "log", tiny_pack, "-c", start, **settings) as service, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(service)).sendall(HEAD)

        answer = service.post(SMALL)

        assert answer.status_code == 200
        assert "connection_failed" not in service.log.read_text()


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
