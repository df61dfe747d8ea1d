"""After a response, the thread awaits the next request if nothing is left to do; otherwise the main loop continues."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any

import pytest

from visage.server.connection import BufferBudget, Connection
from visage.server.connection_deadlines import ConnectionDeadlines
from visage.server.worker import BufferingWorker
from visage.settings import Settings


class FakeWorker(BufferingWorker):
    """A worker without gunicorn, which answers every request with `handle`, in the calling thread."""

    def __init__(self, poller: DefaultSelector, handle: Callable[[Connection], bool]) -> None:
        self.alive = True
        self.cfg = SimpleNamespace(keepalive=5)
        self.deferred: list[Any] = []
        self.method_queue = SimpleNamespace(defer=lambda *call: self.deferred.append(call))
        self.tpool = SimpleNamespace(submit=lambda task, connection: task(connection))
        self.respond = handle
        self._settings = Settings()
        self._deadlines = ConnectionDeadlines(lambda: poller)

    def handle(self, conn: Connection) -> bool:
        return self.respond(conn)


@dataclass(frozen=True)
class Scene:
    connection: Connection
    client: socket.socket
    poller: DefaultSelector

    def answer(self, handle: Callable[[Connection], bool], *, alive: bool = True) -> FakeWorker:
        """A worker that has answered the connection's request with `handle`."""
        worker = FakeWorker(self.poller, handle)
        worker.alive = alive
        worker.enqueue_req(self.connection)
        return worker

    @property
    def is_polled(self) -> bool:
        return self.connection.socket in self.poller.get_map()


@pytest.fixture
def scene() -> Iterator[Scene]:
    server, client = socket.socketpair()
    with server, client, DefaultSelector() as poller:
        connection = Connection(server, "", "", BufferBudget(), 60)
        connection.body = BytesIO()
        yield Scene(connection, client, poller)


def send(connection: Connection) -> bool:
    connection.sock.sendall(b"answer")
    return True


def send_more_than_the_socket_accepts(connection: Connection) -> bool:
    connection.sock.sendall(b"answer" * 1_000_000)
    return True


def send_and_close(connection: Connection) -> bool:
    connection.sock.sendall(b"answer")
    return False


def fail(_connection: Connection) -> bool:
    raise SystemExit


def test_the_thread_awaits_the_next_request_when_the_response_is_sent(scene: Scene) -> None:
    worker = scene.answer(send)

    assert scene.client.recv(100) == b"answer"
    assert worker.deferred == []
    assert scene.is_polled


@pytest.mark.parametrize("handle", [send_more_than_the_socket_accepts, send_and_close])
def test_the_main_loop_sends_the_rest_and_closes(scene: Scene, handle: Callable[[Connection], bool]) -> None:
    worker = scene.answer(handle)

    assert len(worker.deferred) == 1
    assert not scene.is_polled


def test_the_main_loop_continues_when_the_worker_stops(scene: Scene) -> None:
    assert len(scene.answer(send, alive=False).deferred) == 1


def test_the_main_loop_continues_with_a_pipelined_request(scene: Scene) -> None:
    scene.connection.framing.feed(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")

    def begin_and_send(connection: Connection) -> bool:
        connection.begin(SimpleNamespace(protocol="http"))
        return send(connection)

    assert len(scene.answer(begin_and_send).deferred) == 1


def test_the_main_loop_continues_when_a_thread_fails(scene: Scene) -> None:
    with pytest.raises(SystemExit):
        scene.answer(fail)

    assert not scene.is_polled
