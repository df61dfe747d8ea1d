"""Who may work, who may wait, who is turned away: the guard before the slots."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from visage.errors import QueueFull, WaitTimeout


class Admission:
    """A semaphore of `slots` with at most `queue` callers waiting for it, none of them longer than `wait_seconds`."""

    def __init__(self, slots: int, queue: int, wait_seconds: float) -> None:
        self._semaphore = threading.BoundedSemaphore(slots)
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._slots = slots
        self._working = 0
        self._waiting = 0
        self._lock = threading.Lock()
        # Told how many work and how many wait, whenever that changes.
        self.watcher: Callable[[int, int], None] = lambda _working, _waiting: None

    @property
    def waiting(self) -> int:
        """How many callers wait at this moment."""
        return self._waiting

    @property
    def busy(self) -> bool:
        """Whether a caller would have to wait at this moment."""
        return self._working == self._slots

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Hold a slot; yields the seconds that were waited for it.

        Raises:
            QueueFull: as many callers as are allowed wait already.
            WaitTimeout: no slot came free in time.
        """
        started = time.perf_counter()
        if not self._semaphore.acquire(blocking=False):
            self._wait()
        self._count(working=1)
        try:
            yield time.perf_counter() - started
        finally:
            self._count(working=-1)
            self._semaphore.release()

    def _count(self, working: int = 0, waiting: int = 0) -> None:
        with self._lock:
            if waiting > 0 and self._waiting >= self._queue:
                raise QueueFull("Too many photos are waiting already; try again in a second.")
            self._working += working
            self._waiting += waiting
            self.watcher(self._working, self._waiting)

    def _wait(self) -> None:
        self._count(waiting=1)
        try:
            acquired = self._semaphore.acquire(timeout=self._wait_seconds)
        finally:
            self._count(waiting=-1)
        if not acquired:
            raise WaitTimeout(f"No slot came free within {self._wait_seconds:g} seconds; try again in a moment.")
