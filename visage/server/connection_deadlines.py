"""Connections that wait for their sockets, each with a deadline."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from threading import Lock

from visage.server.connection import Connection

_Callback = Callable[..., None]


@dataclass
class _Wait:
    """The socket events that a connection waits for, its deadline, and what to call in either case."""

    events: int
    on_ready: _Callback
    deadline: float
    on_timeout: _Callback


class ConnectionDeadlines:
    """Connections registered with a selector.

    Any thread may call `wait_to_read` and `wait_to_write`. Everything else is for the main loop, which polls.
    """

    def __init__(self, poller: BaseSelector) -> None:
        self._poller = poller
        self._waits: dict[Connection, _Wait] = {}
        # Sockets registered with the poller, and for which events. A connection that stops waiting stays registered
        # until an event arrives: most clients send nothing until they have the response, and two system calls a
        # request take time.
        self._registered: dict[Connection, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._waits)

    def __iter__(self) -> Iterator[Connection]:
        return (connection for connection, _ in self._items())

    def wait_to_read(self, connection: Connection, on_ready: _Callback, deadline: float, on_timeout: _Callback) -> None:
        """Call `on_ready(connection)` once bytes arrive, or `on_timeout(connection)` after the deadline."""
        self._wait(connection, _Wait(EVENT_READ, on_ready, deadline, on_timeout))

    def wait_to_write(
        self, connection: Connection, on_ready: _Callback, deadline: float, on_timeout: _Callback
    ) -> None:
        """Call `on_ready(connection)` once its socket accepts bytes, or `on_timeout(connection)` after the deadline."""
        self._wait(connection, _Wait(EVENT_WRITE, on_ready, deadline, on_timeout))

    def over_budget(self, max_bytes: int) -> list[Connection]:
        """The connections to close so that the response buffers of the others hold at most `max_bytes`.

        These are the ones that have waited longest. The newest is never among them, however much it buffers.
        """
        oldest_first = [connection for connection in self if connection.response.buffered_bytes]
        sums = list(accumulate(connection.response.buffered_bytes for connection in reversed(oldest_first)))
        fitting = max(1, sum(buffered <= max_bytes for buffered in sums))
        return oldest_first[: len(oldest_first) - fitting]

    def stop_waiting(self, connection: Connection) -> None:
        """Cancel the wait of `connection`. It may wait again later."""
        self._waits.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """Cancel the wait of `connection` and unregister its socket."""
        with self._lock:
            self._waits.pop(connection, None)
            self._unregister(connection)

    def limit_idle(self, deadline: float) -> None:
        """Move the deadlines of connections without a begun request to `deadline`, unless they are earlier."""
        for connection, wait in self._items():
            if not connection.parser.has_begun and wait.events == EVENT_READ:
                wait.deadline = min(wait.deadline, deadline)

    def expire(self) -> None:
        """Call `on_timeout` for all connections whose deadline has passed."""
        now = time.monotonic()
        for connection, wait in self._items():
            if wait.deadline < now:
                wait.on_timeout(connection)

    def _items(self) -> list[tuple[Connection, _Wait]]:
        with self._lock:
            return list(self._waits.items())

    def _wait(self, connection: Connection, wait: _Wait) -> None:
        with self._lock:
            self._waits[connection] = wait
            registered = self._registered.get(connection)
            if registered is None:
                self._poller.register(connection.socket, wait.events, partial(self._handle_event, connection))
            elif registered != wait.events:
                self._poller.modify(connection.socket, wait.events, partial(self._handle_event, connection))
            self._registered[connection] = wait.events

    def _handle_event(self, connection: Connection, _file: object) -> None:
        with self._lock:
            wait = self._waits.get(connection)
            if wait is None:
                self._unregister(connection)
                return
        wait.on_ready(connection)

    def _unregister(self, connection: Connection) -> None:
        if self._registered.pop(connection, None):
            # The socket is missing in the poller if the kernel refused to register it.
            with suppress(KeyError):
                self._poller.unregister(connection.socket)
