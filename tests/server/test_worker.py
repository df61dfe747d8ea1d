"""Who goes on with a client after its answer: the thread that made it where all is said, else the main loop."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from selectors import DefaultSelector
from types import SimpleNamespace
from typing import Any

import pytest

from visage.server.connection import Connection, Held
from visage.server.connection_deadlines import Waits
from visage.server.worker import PatientWorker
from visage.settings import Settings


class OneAnswer(PatientWorker):
    """A worker without gunicorn around it, whose every answer is what the test says."""

    def __init__(self, poller: DefaultSelector, handle: Callable[[Connection], bool]) -> None:
        self.alive = True
        self.cfg = SimpleNamespace(keepalive=5)
        self.deferred: list[Any] = []
        self.method_queue = SimpleNamespace(defer=lambda *what: self.deferred.append(what))
        self.tpool = SimpleNamespace(submit=lambda task, connection: task(connection))
        self.answering = handle
        self._settings = Settings()
        self._waits = Waits(lambda: poller)

    def handle(self, conn: Connection) -> bool:
        return self.answering(conn)


@dataclass(frozen=True)
class Scene:
    connection: Connection
    client: socket.socket
    poller: DefaultSelector

    def answered(self, handle: Callable[[Connection], bool], *, alive: bool = True) -> OneAnswer:
        """A worker that has answered the connection's request, as `handle` does it."""
        worker = OneAnswer(self.poller, handle)
        worker.alive = alive
        worker.enqueue_req(self.connection)
        return worker

    @property
    def watched(self) -> bool:
        return self.connection.socket in self.poller.get_map()


@pytest.fixture
def scene() -> Iterator[Scene]:
    ours, theirs = socket.socketpair()
    with ours, theirs, DefaultSelector() as poller:
        connection = Connection(ours, "", "", Held(), 60)
        connection.body = BytesIO()
        yield Scene(connection, theirs, poller)


def answer(connection: Connection) -> bool:
    connection.sock.sendall(b"answer")
    return True


def answer_more_than_is_taken(connection: Connection) -> bool:
    connection.sock.sendall(b"answer" * 1_000_000)
    return True


def answer_and_part(connection: Connection) -> bool:
    connection.sock.sendall(b"answer")
    return False


def fail(_connection: Connection) -> bool:
    raise SystemExit


def test_the_thread_goes_on_with_a_client_that_has_everything(scene: Scene) -> None:
    worker = scene.answered(answer)

    assert scene.client.recv(100) == b"answer"
    assert worker.deferred == []
    assert scene.watched


@pytest.mark.parametrize("handle", [answer_more_than_is_taken, answer_and_part])
def test_the_main_loop_goes_on_where_there_is_more_to_do(scene: Scene, handle: Callable[[Connection], bool]) -> None:
    worker = scene.answered(handle)

    assert len(worker.deferred) == 1
    assert not scene.watched


def test_the_main_loop_goes_on_when_the_worker_is_to_stop(scene: Scene) -> None:
    assert len(scene.answered(answer, alive=False).deferred) == 1


def test_the_main_loop_goes_on_with_a_request_that_came_behind(scene: Scene) -> None:
    scene.connection.reception.feed(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")

    def begin_and_answer(connection: Connection) -> bool:
        connection.begin(SimpleNamespace(protocol="http"))
        return answer(connection)

    assert len(scene.answered(begin_and_answer).deferred) == 1


def test_the_main_loop_goes_on_when_a_thread_fails(scene: Scene) -> None:
    with pytest.raises(SystemExit):
        scene.answered(fail)

    assert not scene.watched
