"""Waiting connections are called once for each event or after their deadline, from any thread."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from selectors import DefaultSelector
from threading import Thread

import pytest

from tests.server.connecting import connected
from visage.server.connection import Connection
from visage.server.connection_deadlines import ConnectionDeadlines


@dataclass
class Loop:
    """A main loop with one connection, its client's socket, and the callbacks that ran."""

    deadlines: ConnectionDeadlines
    poller: DefaultSelector
    connection: Connection
    client: socket.socket
    calls: list[str] = field(default_factory=list)

    def wait_to_read(self, seconds: float = 60) -> None:
        self.deadlines.wait_to_read(self.connection, self._ready, time.monotonic() + seconds, self._timeout)

    def _ready(self, _connection: Connection) -> None:
        self.deadlines.stop_waiting(self.connection)
        self.connection.socket.recv(1)
        self.calls.append("ready")

    def _timeout(self, _connection: Connection) -> None:
        self.calls.append("timeout")

    def poll(self, seconds: float = 0) -> int:
        """Poll and run the callbacks once, as gunicorn's loop does, and return the number of events."""
        events = self.poller.select(seconds)
        for key, _ in events:
            key.data(key.fileobj)
        return len(events)


@pytest.fixture
def loop() -> Iterator[Loop]:
    server, client = socket.socketpair()
    with server, client, DefaultSelector() as poller:
        yield Loop(ConnectionDeadlines(poller), poller, connected(server), client)


def test_a_waiting_connection_is_called_when_bytes_arrive(loop: Loop) -> None:
    loop.wait_to_read()
    loop.client.send(b"h")

    loop.poll()

    assert loop.calls == ["ready"]


def test_a_connection_that_stopped_waiting_is_not_called_and_wakes_the_loop_once(loop: Loop) -> None:
    loop.wait_to_read()
    loop.deadlines.stop_waiting(loop.connection)
    loop.client.send(b"h")

    assert [loop.poll(), loop.poll()] == [1, 0]
    assert loop.calls == []


@pytest.mark.parametrize("polled", [False, True], ids=["not polled meanwhile", "polled meanwhile"])
def test_bytes_that_arrived_between_two_waits_are_reported_to_the_second(loop: Loop, polled: bool) -> None:
    loop.wait_to_read()
    loop.deadlines.stop_waiting(loop.connection)
    loop.client.send(b"h")
    if polled:
        loop.poll()
    loop.wait_to_read()

    loop.poll()

    assert loop.calls == ["ready"]


def test_a_thread_can_add_a_wait_while_the_loop_sleeps(loop: Loop) -> None:
    def wait_and_send() -> None:
        time.sleep(0.1)
        loop.wait_to_read()
        loop.client.send(b"h")

    thread = Thread(target=wait_and_send)
    thread.start()

    assert loop.poll(60) == 1
    thread.join()
    assert loop.calls == ["ready"]


def test_bytes_that_arrive_while_a_thread_adds_a_wait_are_not_lost(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread adds its wait after the loop has found none, and before the loop unregisters the socket."""
    loop.wait_to_read()
    loop.deadlines.stop_waiting(loop.connection)
    loop.client.send(b"h")
    unregister = loop.poller.unregister
    thread = Thread(target=loop.wait_to_read)

    def unregister_slowly(sock: socket.socket) -> None:
        thread.start()
        time.sleep(0.1)
        unregister(sock)

    monkeypatch.setattr(loop.poller, "unregister", unregister_slowly)
    loop.poll()
    thread.join()
    loop.poll()

    assert loop.calls == ["ready"]


def test_a_removed_connection_is_no_longer_polled(loop: Loop) -> None:
    loop.wait_to_read()
    loop.deadlines.remove(loop.connection)
    loop.client.send(b"h")

    assert loop.poll() == 0
    assert len(loop.deadlines) == 0


def test_a_connection_is_called_after_its_deadline(loop: Loop) -> None:
    loop.wait_to_read(seconds=-1)

    loop.deadlines.expire()

    assert loop.calls == ["timeout"]


def test_the_idle_limit_applies_only_to_connections_without_a_begun_request(loop: Loop) -> None:
    loop.wait_to_read()
    loop.deadlines.limit_idle(time.monotonic() - 1)
    loop.deadlines.expire()
    assert loop.calls == ["timeout"]

    loop.connection.parser.feed(b"POST")
    loop.wait_to_read()
    loop.deadlines.limit_idle(time.monotonic() - 1)
    loop.deadlines.expire()
    assert loop.calls == ["timeout"]
