"""Connections that wait: each is told of what comes, in time or too late, and nobody else's bytes wake the loop."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from selectors import DefaultSelector
from threading import Thread

import pytest

from visage.server.connection import Connection, Held
from visage.server.connection_deadlines import Waits


@dataclass
class Door:
    """A connection, its client's end, those who wait, and what has happened."""

    waits: Waits
    poller: DefaultSelector
    connection: Connection
    client: socket.socket
    happened: list[str] = field(default_factory=list)

    def wait_to_read(self, seconds: float = 60) -> None:
        self.waits.to_read(self.connection, self._come, time.monotonic() + seconds, self._late)

    def _come(self, _connection: Connection) -> None:
        self.waits.end(self.connection)
        self.connection.socket.recv(1)
        self.happened.append("come")

    def _late(self, _connection: Connection) -> None:
        self.happened.append("late")

    def go_round(self, seconds: float = 0) -> int:
        """Do what gunicorn's loop does, once; how many sockets had something."""
        events = self.poller.select(seconds)
        for key, _ in events:
            key.data(key.fileobj)
        return len(events)


@pytest.fixture
def door() -> Iterator[Door]:
    ours, theirs = socket.socketpair()
    with ours, theirs, DefaultSelector() as poller:
        yield Door(Waits(lambda: poller), poller, Connection(ours, "", "", Held(), 60), theirs)


def test_who_waits_is_told_what_comes(door: Door) -> None:
    door.wait_to_read()
    door.client.send(b"h")

    door.go_round()

    assert door.happened == ["come"]


def test_who_waits_no_more_is_told_nothing_and_wakes_the_loop_once(door: Door) -> None:
    door.wait_to_read()
    door.waits.end(door.connection)
    door.client.send(b"h")

    assert [door.go_round(), door.go_round()] == [1, 0]
    assert door.happened == []


@pytest.mark.parametrize("looked", [False, True], ids=["nobody looked meanwhile", "the loop looked meanwhile"])
def test_what_came_while_nobody_waited_is_told_to_who_waits_again(door: Door, looked: bool) -> None:
    door.wait_to_read()
    door.waits.end(door.connection)
    door.client.send(b"h")
    if looked:
        door.go_round()
    door.wait_to_read()

    door.go_round()

    assert door.happened == ["come"]


def test_a_thread_may_have_a_connection_wait_while_the_loop_sleeps(door: Door) -> None:
    def wait_and_be_told() -> None:
        time.sleep(0.1)
        door.wait_to_read()
        door.client.send(b"h")

    thread = Thread(target=wait_and_be_told)
    thread.start()

    assert door.go_round(60) == 1
    thread.join()
    assert door.happened == ["come"]


def test_what_comes_while_a_thread_has_a_connection_wait_is_not_lost(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the moment between: the loop has seen that nobody waits, and has not yet told the poller to stop."""
    door.wait_to_read()
    door.waits.end(door.connection)
    door.client.send(b"h")
    unregister = door.poller.unregister
    thread = Thread(target=door.wait_to_read)

    def slowly(sock: socket.socket) -> None:
        thread.start()
        time.sleep(0.1)
        unregister(sock)

    monkeypatch.setattr(door.poller, "unregister", slowly)
    door.go_round()
    thread.join()
    door.go_round()

    assert door.happened == ["come"]


def test_who_is_forgotten_is_watched_no_more(door: Door) -> None:
    door.wait_to_read()
    door.waits.forget(door.connection)
    door.client.send(b"h")

    assert door.go_round() == 0
    assert len(door.waits) == 0


def test_whose_time_is_up_is_told_so(door: Door) -> None:
    door.wait_to_read(seconds=-1)

    door.waits.call_off()

    assert door.happened == ["late"]


def test_a_wish_to_hurry_is_for_those_who_have_not_begun(door: Door) -> None:
    door.wait_to_read()
    door.waits.hurry(time.monotonic() - 1)
    door.waits.call_off()
    assert door.happened == ["late"]

    door.connection.reception.feed(b"POST")
    door.wait_to_read()
    door.waits.hurry(time.monotonic() - 1)
    door.waits.call_off()
    assert door.happened == ["late"]
