"""Admission: a limited number of slots, and a limited queue of callers that wait for one."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from visage.errors import QueueFull, WaitTimeout

QUEUE_FULL_MESSAGE = "Too many photos are waiting already; try again in a second."


class Admission:
    """A semaphore with `slots` slots. At most `queue` callers wait for one, each at most `wait_seconds`.

    The order is first come, first served: a free slot goes to the caller that has waited longest. With Python's own
    semaphores newcomers overtake, and the longest wait was four times as long.
    """

    def __init__(self, slots: int, queue: int, wait_seconds: float) -> None:
        self._slots = slots
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._active = 0
        # One event per waiting caller, in the order of arrival. It is set when the caller gets a slot.
        self._waiters: deque[threading.Event] = deque()
        self._background_waiters: set[threading.Event] = set()
        self._lock = threading.Lock()
        # `time.monotonic()` of the release of the last slot. None while a slot is held, and before the first release.
        self.idle_since: float | None = None

    @property
    def load(self) -> tuple[int, int]:
        """How many callers hold a slot and how many wait for one, at one moment, without background callers in wait."""
        with self._lock:
            return self._active, self.waiting

    @property
    def waiting(self) -> int:
        """How many callers wait for a slot now, without background callers."""
        return len(self._waiters) - len(self._background_waiters)

    @property
    def busy(self) -> bool:
        """Whether every slot is held now."""
        return self._active == self._slots

    @property
    def full(self) -> bool:
        """Whether a caller would be rejected now."""
        return self.busy and self.waiting >= self._queue

    @contextmanager
    def slot(self, *, background: bool = False) -> Iterator[float]:
        """Hold a slot; yields the seconds that the caller waited for it.

        A `background` caller keeps the order of arrival, but takes no place in the queue, is never rejected, and waits
        without a time limit. Long work takes a slot for each of its parts in this way, and others run in between.

        Raises:
            QueueFull: the queue is full.
            WaitTimeout: no slot was free within `wait_seconds`.
        """
        started = time.perf_counter()
        waiter = self._enter(background)
        limit = None if background else self._wait_seconds
        try:
            # A slot may be handed over when the time is just up.
            if waiter is not None and not waiter.wait(limit) and not waiter.is_set():
                raise WaitTimeout(f"No slot came free within {limit:g} seconds; try again in a moment.")
            yield time.perf_counter() - started
        finally:
            # Also after an interrupt of the wait, such as Ctrl-C.
            self._leave(waiter)

    def _enter(self, background: bool) -> threading.Event | None:
        """Take a free slot, or join the queue and return the event that is set when a slot is there."""
        with self._lock:
            if not self.busy:
                self._active += 1
                self.idle_since = None
                return None
            if self.full and not background:
                raise QueueFull(QUEUE_FULL_MESSAGE)
            waiter = threading.Event()
            self._waiters.append(waiter)
            if background:
                self._background_waiters.add(waiter)
            return waiter

    def _leave(self, waiter: threading.Event | None) -> None:
        """Leave the queue if no slot came; otherwise hand the slot to the first caller in the queue, or release it."""
        with self._lock:
            if waiter is not None and not waiter.is_set():
                self._waiters.remove(waiter)
                self._background_waiters.discard(waiter)
            elif self._waiters:
                first = self._waiters.popleft()
                self._background_waiters.discard(first)
                first.set()
            else:
                self._active -= 1
                self.idle_since = None if self._active else time.monotonic()
