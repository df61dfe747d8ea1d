"""One thread that calls off whatever takes too long: a timer for each request would cost a thread for each."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from visage.log import logger


@dataclass(order=True)
class _Deadline:
    when: float
    number: int
    action: Callable[[], None] | None = field(compare=False)


class Watchdog:
    """Deadlines of a process. The thread is started with the first one, so after any fork."""

    def __init__(self) -> None:
        self._deadlines: list[_Deadline] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float, action: Callable[[], None]) -> Iterator[None]:
        """Call `action` from another thread if the block is not done after `seconds`; never once it is done."""
        deadline = _Deadline(time.monotonic() + seconds, next(self._numbers), action)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            heapq.heappush(self._deadlines, deadline)
            if self._deadlines[0] is deadline:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                # It stays in line, but holds on to nothing: what was in time costs no one a change of threads.
                deadline.action = None

    def _run(self) -> None:
        with self._changed:
            while True:
                self._changed.wait(self._deadlines[0].when - time.monotonic() if self._deadlines else None)
                while self._deadlines and self._deadlines[0].when <= time.monotonic():
                    deadline = heapq.heappop(self._deadlines)
                    if deadline.action is not None:
                        self._act(deadline.action)

    @staticmethod
    def _act(action: Callable[[], None]) -> None:
        """Whatever goes wrong in one action, the others still have their time limits."""
        try:
            action()
        except Exception:
            logger.exception("the watchdog could not call something off")
