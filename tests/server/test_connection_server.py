"""Requests on a pair of sockets are answered by an app in threads, without gunicorn."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.server.wsgi_app import App
from tests.support.waiting import wait_for
from visage.errors import RequestError
from visage.server.connection_server import ConnectionServer
from visage.server.http.environ import Environs
from visage.server.http.request_parser import HeadLimits
from visage.server.main_loop import MainLoop
from visage.settings import Settings

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY_SECONDS = 2.0
PHOTO = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nphoto"


@dataclass
class Scene:
    """A server with one connection, its loop, and the client's socket."""

    server: ConnectionServer
    loop: MainLoop
    app: App
    client: socket.socket

    def poll_until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            self.loop.poll(0.01)
            self.server.deadlines.expire()

    def receive(self, end: bytes) -> bytes:
        """Poll until the client has received `end`."""
        received = bytearray()

        def has_ended() -> bool:
            with suppress(BlockingIOError):
                received.extend(self.client.recv(2**16))
            return received.endswith(end)

        self.poll_until(has_ended)
        return bytes(received)

    def is_closed(self) -> bool:
        self.poll_until(lambda: self.client in _readable(self.client))
        return self.client.recv(100) == b""


def _readable(client: socket.socket) -> list[socket.socket]:
    try:
        client.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return []
    return [client]


@pytest.fixture
def scene() -> Iterator[Scene]:
    pipe = os.pipe2(os.O_NONBLOCK)
    loop, app = MainLoop(pipe), App()
    server = ConnectionServer(
        app,
        Settings(body_seconds=BODY_SECONDS, max_body_bytes=10_000),
        loop,
        environs=Environs([], {}),
        limits=HeadLimits(),
        threads=2,
        idle_seconds=60,
        may_keep_alive=lambda: True,
    )
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(0)
        server.add(ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
        yield Scene(server, loop, app, theirs)
        app.may_answer.set()
        server.close_all()
    loop.close()
    for end in pipe:
        os.close(end)


def test_requests_on_one_connection_are_answered_in_turn(scene: Scene) -> None:
    for _ in range(3):
        scene.client.sendall(GET)
        assert scene.receive(b"\r\n\r\nanswer").startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_order(scene: Scene) -> None:
    scene.client.sendall(GET + PHOTO + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    received = scene.receive(b"Connection: close\r\nContent-Length: 6\r\n\r\nanswer")

    assert received.count(b"HTTP/1.1 200 OK") == scene.app.calls == 3
    assert scene.is_closed()


def test_a_photo_whose_client_offers_http_2_is_answered_in_http_1(scene: Scene) -> None:
    for _ in range(2):
        scene.client.sendall(PHOTO.replace(b"Content", b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent"))
        assert scene.receive(b"\r\n\r\nanswer").startswith(b"HTTP/1.1 200 OK\r\n")


def test_more_requests_ahead_than_allowed_end_the_connection_after_their_responses(scene: Scene) -> None:
    scene.client.sendall(GET * 100)

    received = scene.receive(b"Connection: close\r\nContent-Length: 6\r\n\r\nanswer")

    assert received.count(b"HTTP/1.1 200 OK") == scene.app.calls == 16
    assert scene.is_closed()


def test_a_response_that_nobody_reads_holds_no_thread(scene: Scene) -> None:
    scene.app.body = bytes(900_000)
    scene.client.sendall(GET)
    scene.poll_until(lambda: any(connection.response.buffered_bytes for connection in scene.server.deadlines))

    assert scene.receive(bytes(1000)).startswith(b"HTTP/1.1 200 ")


def test_an_app_that_fails_gives_an_error_and_the_next_request_is_possible_elsewhere(scene: Scene) -> None:
    scene.app.failure = ZeroDivisionError("secret")
    scene.client.sendall(GET)

    received = scene.receive(b'"code": "internal_error"}')

    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in received
    assert scene.is_closed()


def test_a_file_that_the_app_cannot_read_is_no_client_that_left(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.app.failure = OSError(5, "Input/output error")
    scene.client.sendall(GET)

    assert scene.receive(b'"code": "internal_error"}').startswith(b"HTTP/1.1 500 ")
    assert "response_failed" in caplog.messages


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), RequestError("late")])
def test_an_app_that_fails_after_the_head_ends_the_response(
    scene: Scene, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    scene.app.late_failure = failure
    scene.client.sendall(GET)

    assert scene.receive(b"answer").count(b"HTTP/1.1 ") == 1
    assert scene.is_closed()
    assert "response_failed" in caplog.messages


def test_a_client_that_leaves_before_the_response_is_not_logged_as_a_failure(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.app.may_answer.clear()
    scene.client.sendall(GET)
    scene.poll_until(lambda: scene.app.calls == 1)
    scene.client.close()
    scene.app.may_answer.set()

    scene.poll_until(lambda: scene.server.count == 0)
    assert not caplog.messages


def test_a_photo_is_rejected_without_a_thread_while_the_queue_is_full(scene: Scene) -> None:
    scene.app.admission.full = True
    scene.client.sendall(PHOTO)

    assert scene.receive(b'"code": "queue_full"}').startswith(b"HTTP/1.1 429 ")
    assert scene.app.calls == 0

    scene.client.sendall(GET)
    assert scene.receive(b"answer").startswith(b"HTTP/1.1 200 ")


def test_an_invalid_request_is_answered_after_the_valid_ones_before_it(scene: Scene) -> None:
    scene.client.sendall(GET + b"nonsense\r\n\r\n")

    received = scene.receive(b'"code": "bad_request"}')

    assert received.index(b"200 OK") < received.index(b"400 Bad Request")
    assert scene.is_closed()


def test_a_body_over_the_limit_is_rejected_before_it_arrives(scene: Scene) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10001\r\n\r\n"
    scene.client.sendall(head)

    assert scene.receive(b'"code": "body_too_large"}').startswith(b"HTTP/1.1 413 ")


def test_a_request_that_does_not_arrive_in_time_gets_408(scene: Scene) -> None:
    scene.client.sendall(PHOTO[:-1])

    assert scene.receive(b'"code": "body_timeout"}').startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_is_forgotten(scene: Scene) -> None:
    scene.client.sendall(PHOTO[:-1])
    scene.client.close()

    scene.poll_until(lambda: scene.server.count == 0)


def test_a_stopping_server_answers_what_has_begun_and_closes(scene: Scene) -> None:
    scene.app.may_answer.clear()
    scene.client.sendall(GET)
    scene.poll_until(lambda: scene.app.calls == 1)
    scene.server.is_stopping = True
    scene.app.may_answer.set()

    assert scene.receive(b"answer").startswith(b"HTTP/1.1 200 ")
    assert wait_for(scene.is_closed)
