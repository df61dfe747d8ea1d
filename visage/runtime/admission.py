"""Who may work, who may wait, who is turned away: the guard before the slots."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from visage.errors import QueueFull, WaitTimeout

QUEUE_FULL_MESSAGE = "Too many photos are waiting already; try again in a second."


class Admission:
    """A semaphore of `slots` with at most `queue` callers waiting for it, none of them longer than `wait_seconds`.

    First come, first served: a slot that comes free is handed to whoever has waited longest. Python's own semaphores
    let newcomers overtake, and some callers waited four times as long as others.
    """

    def __init__(self, slots: int, queue: int, wait_seconds: float) -> None:
        self._slots = slots
        self._queue = queue
        self._wait_seconds = wait_seconds
        self._working = 0
        self._turns: deque[threading.Event] = deque()
        self._patient: set[threading.Event] = set()
        self._lock = threading.Lock()
        # `time.monotonic()` of when the last slot was given back; None while one is held and until the first one was.
        self.idle_since: float | None = None

    @property
    def load(self) -> tuple[int, int]:
        """How many callers hold a slot, and how many wait for one, at one moment; without patient ones that wait."""
        with self._lock:
            return self._working, self.waiting

    @property
    def waiting(self) -> int:
        """How many callers wait at this moment, without patient ones."""
        return len(self._turns) - len(self._patient)

    @property
    def busy(self) -> bool:
        """Whether a caller would have to wait at this moment."""
        return self._working == self._slots

    @property
    def full(self) -> bool:
        """Whether a caller would be turned away at this moment."""
        return self.busy and self.waiting >= self._queue

    @contextmanager
    def slot(self, *, patient: bool = False) -> Iterator[float]:
        """Hold a slot; yields the seconds that were waited for it.

        A `patient` caller takes its turn like everybody, but no place in the queue, is never turned away and waits as
        long as it must. For work of many parts that takes a slot for each of them, so that others go in between.

        Raises:
            QueueFull: as many callers as are allowed wait already.
            WaitTimeout: no slot came free in time.
        """
        started = time.perf_counter()
        turn = self._enter(patient)
        if turn is not None and not turn.wait(None if patient else self._wait_seconds):
            self._give_up(turn)
        try:
            yield time.perf_counter() - started
        finally:
            self._leave()

    def _enter(self, patient: bool) -> threading.Event | None:
        """Take a slot, or a place in the queue: what comes back is set when its turn has come."""
        turn = None
        with self._lock:
            if self.full and not patient:
                raise QueueFull(QUEUE_FULL_MESSAGE)
            if self.busy:
                turn = threading.Event()
                self._turns.append(turn)
                self._patient |= {turn} if patient else set()
            else:
                self._working += 1
                self.idle_since = None
        return turn

    def _give_up(self, turn: threading.Event) -> None:
        with self._lock:
            if turn.is_set():
                return  # its turn came at the last moment
            self._turns.remove(turn)
        raise WaitTimeout(f"No slot came free within {self._wait_seconds:g} seconds; try again in a moment.")

    def _leave(self) -> None:
        with self._lock:
            if self._turns:
                turn = self._turns.popleft()
                self._patient.discard(turn)
                turn.set()
            else:
                self._working -= 1
                self.idle_since = None if self._working else time.monotonic()
