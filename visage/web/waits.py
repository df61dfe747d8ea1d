"""Connections that wait for their sockets, each until its time is up."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

from visage.web.connection import Connection

_Action = Callable[..., None]


@dataclass
class _Wait:
    """What a connection waits for, what follows, until when, and what follows when it does not come in time."""

    events: int
    then: _Action
    deadline: float
    too_late: _Action


class Waits:
    """Who waits at `poller`, which is asked for when it is needed: a worker has it only after its fork."""

    def __init__(self, poller: Callable[[], BaseSelector]) -> None:
        self._poller = poller
        self._waits: dict[Connection, _Wait] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._waits))

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
        holding = [connection for connection in self._waits if connection.sock.held]
        sums = list(accumulate(connection.sock.held for connection in reversed(holding)))
        fitting = max(1, sum(held <= most for held in sums))
        return holding[: len(holding) - fitting]

    def end(self, connection: Connection) -> None:
        """The connection waits no more."""
        if self._waits.pop(connection, None):
            # What the kernel refused to watch is not there.
            with suppress(KeyError):
                self._poller().unregister(connection.socket)

    def hurry(self, deadline: float) -> None:
        """Who has not begun a request by `deadline` waits no longer than that."""
        for connection, wait in self._waits.items():
            if not connection.reception.data and wait.events == EVENT_READ:
                wait.deadline = min(wait.deadline, deadline)

    def call_off(self) -> None:
        """Tell all whose time is up."""
        now = time.monotonic()
        for connection, wait in list(self._waits.items()):
            if wait.deadline < now:
                wait.too_late(connection)

    def _wait(self, connection: Connection, wait: _Wait) -> None:
        known = self._waits.get(connection)
        self._waits[connection] = wait
        if known is None:
            self._poller().register(connection.socket, wait.events, partial(self._go_on, connection))
        elif known.events != wait.events:
            self._poller().modify(connection.socket, wait.events, partial(self._go_on, connection))

    def _go_on(self, connection: Connection, _file: object) -> None:
        if wait := self._waits.get(connection):
            wait.then(connection)
