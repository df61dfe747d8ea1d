"""Clients that stall cost nobody else anything: a real gunicorn, sockets that send and read as slowly as they like."""

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

# What is not to be waited for while a test goes on, and what is.
PATIENCE = 300.0
BODY_SECONDS = 3.0

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
    """One that gives clients more time than any test takes."""
    log = tmp_path_factory.mktemp("slow_clients") / "log"
    with serving(log, tiny_pack, VISAGE_BODY_SECONDS=str(PATIENCE), **SETTINGS) as service:
        yield service


@pytest.fixture(scope="module")
def hurried(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that waits for clients as long as tests can wait for it."""
    log = tmp_path_factory.mktemp("hurried_clients") / "log"
    with serving(log, tiny_pack, VISAGE_BODY_SECONDS=str(BODY_SECONDS), **SETTINGS) as service:
        yield service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def answer_on(connection: socket.socket) -> tuple[int, bytes]:
    response = HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def assert_served(service: Service) -> None:
    """That photos are answered long before the service has lost its patience with others."""
    for _ in range(5):
        answer = service.post(SMALL)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["faces"]) == len(TINY_FACES)


def answered(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """Those of them that have got something, if only the end of their connection."""
    return select.select(connections, [], [], 0)[0]


BEGINNINGS = {
    "a head that never ends": HEAD + b"X-Never-Ends: ",
    "a body that never comes": HEAD + b"Content-Length: 100000\r\n\r\n",
    "a body that stops half way": HEAD + b"Content-Length: 100000\r\n\r\n" + SMALL[:100],
    "chunks that stop half way": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_requests_that_stall_cost_nobody_else_anything(service: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        assert_served(service)

        assert answered(stalled) == []


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_requests_that_stall_are_timed_out(hurried: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        started = time.monotonic()
        stalled = [stack.enter_context(connect(hurried)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        for connection in stalled:
            status, body = answer_on(connection)
            assert (status, json.loads(body)["code"]) == (408, "body_timeout")
        assert BODY_SECONDS < time.monotonic() - started < BODY_SECONDS + 20


def test_bodies_of_a_byte_at_a_time_cost_nobody_else_anything(service: Service) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")

        for _ in range(5):
            for connection in stalled:
                connection.sendall(b"x")
            assert_served(service)

        assert answered(stalled) == []


def test_bodies_of_a_byte_at_a_time_are_timed_out(hurried: Service) -> None:
    with connect(hurried) as connection:
        started = time.monotonic()
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        while not answered([connection]):
            connection.sendall(b"x")
            time.sleep(0.05)

        assert answer_on(connection)[0] == 408
        assert time.monotonic() - started < BODY_SECONDS + 20


def test_answers_that_nobody_reads_cost_nobody_else_anything(service: Service) -> None:
    before, request = len(predictions(service)), posted(noise(1200))
    with ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(deaf_connection(service)).sendall(request)
        assert wait_for(lambda: len(predictions(service)) == before + STALLED)

        assert_served(service)

        assert open_connections(service) >= STALLED


def test_answers_that_nobody_reads_are_given_up(hurried: Service) -> None:
    before, request = len(predictions(hurried)), posted(noise(1200))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(deaf_connection(hurried)).sendall(request)
        assert wait_for(lambda: len(predictions(hurried)) == before + 3)

        assert wait_for(lambda: open_connections(hurried) == 0)


def predictions(service: Service) -> list[str]:
    """What the log has of photos that were answered."""
    return [line for line in service.log.read_text().splitlines() if '"route":"/predict","status":200' in line]


def test_of_answers_that_nobody_reads_the_latest_are_held(tiny_pack: Path, tmp_path: Path) -> None:
    # Enlarged to 13 MB, of which a worker that takes photos of 5 million pixels holds 20.
    picture = encode(np.zeros((700, 700, 3), np.uint8), "BMP")
    request = HEAD.replace(b"predict", b"enhance") + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    settings = {"VISAGE_MAX_IMAGE_PIXELS": "5000000", "VISAGE_BODY_SECONDS": "300", "VISAGE_BATCH_JOBS": "0"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service, ExitStack() as stack:
        clients = [stack.enter_context(deaf_connection(service)) for _ in range(4)]
        for answered, connection in enumerate(clients, 1):
            connection.sendall(request)
            assert wait_for(lambda: service.log.read_text().count('"route":"/enhance"') == answered)  # noqa: B023

        assert wait_for(lambda: open_connections(service) == 1)
        status, body = answer_on(clients[-1])

    assert (status, len(body)) == (200, 54 + 3 * 2100**2)


def noise(side: int) -> bytes:
    """A photo of which the annotated picture is larger than all buffers between here and there."""
    return encode(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8), "BMP")


def posted(photo: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(photo) + photo


def deaf_connection(service: Service) -> socket.socket:
    """A client whose own buffer takes next to nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    return connection


def test_an_answer_that_is_read_slowly_arrives_whole(service: Service) -> None:
    photo = noise(1000)
    quick = requests.post(service.url + "/predict", files={"image": photo}, timeout=60).json()
    with deaf_connection(service) as connection:
        connection.sendall(posted(photo).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        received = bytearray()
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.01)

    slow = json.loads(bytes(received).partition(b"\r\n\r\n")[2])
    assert slow["annotated_jpeg"] == quick["annotated_jpeg"]


def test_requests_sent_in_one_go_are_answered_one_after_the_other(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(3 * posted(SMALL) + b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 200 OK") == 4
    assert received.count(b'"faces":[{') == 3
    assert received.endswith(b'{"status":"ok"}\n')


def test_an_answer_without_a_body_is_sent_and_the_next_follows(service: Service) -> None:
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


def test_a_body_of_astronomic_length_is_no_second_request(service: Service) -> None:
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
def test_a_request_has_one_answer_even_if_its_unread_body_is_broken(service: Service, chunks: bytes) -> None:
    # Without a type, so that the app does not read the body.
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(head + chunks)
        received = b""
        while piece := connection.recv(2**16):
            received += piece

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"no_image" in received


def test_a_client_that_asks_first_is_told_to_go_ahead_once(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMALL))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"

        connection.sendall(SMALL)

        assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_a_client_that_asks_first_is_refused_before_it_sends_too_much(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99000000\r\n\r\n")

        status, body = answer_on(connection)

    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_more_than_a_worker_can_hold_is_refused_before_it_comes(service: Service) -> None:
    announced = HEAD + b"Content-Length: %d\r\n\r\n" % 2**24
    with ExitStack() as stack:
        for _ in range(16):
            connection = stack.enter_context(connect(service))
            connection.sendall(announced + b"x" * 2**20)
        assert_served(service)


def test_more_clients_than_files_wait_outside_until_the_stalled_ones_are_gone(tiny_pack: Path, tmp_path: Path) -> None:
    few_files = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    start = few_files + f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_BODY_SECONDS": str(BODY_SECONDS)}
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
        pytest.param(b"GET / HTTP/1.1\nHost: here\n\n", 400, "bad_request", id="line ends of another kind"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request", id="TLS"),
        pytest.param(
            HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "bad_request", id="two lengths"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: nonsense\r\n\r\n0\r\n\r\n", 400, "bad_request", id="a coding"),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_shape_of_every_error(
    service: Service, request_bytes: bytes, status: int, code: str
) -> None:
    with connect(service) as connection:
        connection.sendall(request_bytes)

        answered, body = answer_on(connection)

    assert (answered, json.loads(body)["code"]) == (status, code)
    assert json.loads(body)["error"].endswith(".")
