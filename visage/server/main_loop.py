"""The main loop of a worker: waits for sockets, and runs what other threads ask for."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any


class MainLoop:
    """A selector whose keys have a callback as data, and a queue of calls from other threads."""

    def __init__(self, pipe: tuple[int, int]) -> None:
        """Create the selector.

        Args:
            pipe: The non-blocking ends of a pipe. A byte in it wakes `poll`; Python's signal handlers may write some.
        """
        self.selector = DefaultSelector()
        self._read_end, self._write_end = pipe
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.selector.register(self._read_end, EVENT_READ, self._drain)

    def defer(self, call: Callable[..., None], *arguments: object) -> None:
        """Have `poll` call `call` with `arguments`. Any thread may call this."""
        self._calls.append((call, arguments))
        self.wake()

    def wake(self) -> None:
        """End the current or the next `poll`. Any thread may call this."""
        # A full pipe wakes the loop too.
        with suppress(BlockingIOError):
            os.write(self._write_end, b"\0")

    def poll(self, seconds: float) -> None:
        """Wait at most `seconds` for events, and run their callbacks and all deferred calls."""
        for key, _ in self.selector.select(seconds):
            key.data(key.fileobj)
        for _ in range(len(self._calls)):
            call, arguments = self._calls.popleft()
            call(*arguments)

    def close(self) -> None:
        """Close the selector; the pipe stays open."""
        self.selector.close()

    def _drain(self, _file: object) -> None:
        with suppress(BlockingIOError):
            os.read(self._read_end, 2**12)
