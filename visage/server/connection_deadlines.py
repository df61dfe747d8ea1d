"""Connections that wait for their sockets, each until its time is up."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from threading import Lock

from visage.server.connection import Connection

_Action = Callable[..., None]


@dataclass
class _Wait:
    """What a connection waits for, what follows, until when, and what follows when it does not come in time."""

    events: int
    then: _Action
    deadline: float
    too_late: _Action


class Waits:
    """Who waits at `poller`, which is asked for when it is needed: a worker has it only after its fork.

    Threads may have a connection wait; the rest is for the loop that asks the poller.
    """

    def __init__(self, poller: Callable[[], BaseSelector]) -> None:
        self._poller = poller
        self._waits: dict[Connection, _Wait] = {}
        # What the poller looks out for. Who waits no more is still looked out for until something comes: most clients
        # send nothing while they are answered, and to tell the kernel twice a request takes time.
        self._watched: dict[Connection, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[Connection]:
        return (connection for connection, _ in self._all())

    def to_read(self, connection: Connection, then: _Action, deadline: float, too_late: _Action) -> None:
        """Call `then` with the connection when bytes have come, `too_late` when none have."""
        self._wait(connection, _Wait(EVENT_READ, then, deadline, too_late))

    def to_write(self, connection: Connection, then: _Action, deadline: float, too_late: _Action) -> None:
        """Call `then` with the connection when it takes bytes, `too_late` when it does not."""
        self._wait(connection, _Wait(EVENT_WRITE, then, deadline, too_late))

    def longest_held(self, most: int) -> list[Connection]:
        """Those whose answers have waited longest to be taken, as many as must go for the rest to hold `most` bytes.

        The last one stays, however much it holds.
        """
        # In the order in which they came to wait.
        holding = [connection for connection in self if connection.sock.held]
        sums = list(accumulate(connection.sock.held for connection in reversed(holding)))
        fitting = max(1, sum(held <= most for held in sums))
        return holding[: len(holding) - fitting]

    def end(self, connection: Connection) -> None:
        """The connection waits no more, for the time being."""
        self._waits.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """The connection will not wait again."""
        with self._lock:
            self._waits.pop(connection, None)
            self._unwatch(connection)

    def hurry(self, deadline: float) -> None:
        """Who has not begun a request by `deadline` waits no longer than that."""
        for connection, wait in self._all():
            if not connection.reception.data and wait.events == EVENT_READ:
                wait.deadline = min(wait.deadline, deadline)

    def call_off(self) -> None:
        """Tell all whose time is up."""
        now = time.monotonic()
        for connection, wait in self._all():
            if wait.deadline < now:
                wait.too_late(connection)

    def _all(self) -> list[tuple[Connection, _Wait]]:
        with self._lock:
            return list(self._waits.items())

    def _wait(self, connection: Connection, wait: _Wait) -> None:
        with self._lock:
            self._waits[connection] = wait
            watched = self._watched.get(connection)
            if watched is None:
                self._poller().register(connection.socket, wait.events, partial(self._go_on, connection))
            elif watched != wait.events:
                self._poller().modify(connection.socket, wait.events, partial(self._go_on, connection))
            self._watched[connection] = wait.events

    def _go_on(self, connection: Connection, _file: object) -> None:
        with self._lock:
            wait = self._waits.get(connection)
            if wait is None:
                self._unwatch(connection)
                return
        wait.then(connection)

    def _unwatch(self, connection: Connection) -> None:
        if self._watched.pop(connection, None):
            # What the kernel refused to watch is not there.
            with suppress(KeyError):
                self._poller().unregister(connection.socket)
