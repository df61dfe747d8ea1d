"""A limit for long requests, so that they leave threads to photos."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from visage.errors import QueueFull


class ConcurrencyLimit:
    """Allows at most `limit` long requests at the same time."""

    def __init__(self, limit: int) -> None:
        self._free = BoundedSemaphore(limit)

    def try_acquire(self) -> bool:
        """Start a long request if the limit allows; return whether it does. Every success needs a `release`."""
        return self._free.acquire(blocking=False)

    def release(self) -> None:
        """End a long request."""
        self._free.release()

    @contextmanager
    def acquired(self) -> Iterator[None]:
        """Run the block as a long request.

        Raises:
            QueueFull: the limit is reached.
        """
        if not self.try_acquire():
            raise QueueFull("Too many batches are in transfer; try again in a few seconds.", retry_after=5)
        try:
            yield
        finally:
            self.release()
