"""Threads for requests that take long, apart from those that photos need: so many, and no more, hold one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from visage.errors import QueueFull


class Streams:
    """At most `most` requests that take long."""

    def __init__(self, most: int) -> None:
        self._free = BoundedSemaphore(most)

    def try_to_enter(self) -> bool:
        """Begin such a request, if there is room; whether there was."""
        return self._free.acquire(blocking=False)

    def leave(self) -> None:
        """End such a request."""
        self._free.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be such a request for as long as the block takes, or raise QueueFull."""
        if not self.try_to_enter():
            raise QueueFull("Too many batches are being sent and fetched; try again in a few seconds.", retry_after=5)
        try:
            yield
        finally:
            self.leave()
