"""The picture that a consumer enlarges, one at a time: other batches go on meanwhile, and it can be given up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from visage.batches.batch import Batch, Task
from visage.batches.queue import Queue
from visage.errors import BatchError
from visage.runtime.engine import Engine

# The id of a batch, the number of a file and that of the attempt at it, from 1.
Claim = tuple[str, int, int]


class GivenUp(Exception):
    """The process ends, and the picture is left to another as if nobody had begun it."""


class Enlarging:
    """For all threads of a consumer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._busy = False
        self._put_off: set[str] = set()
        self._stopped = False
        # That of the picture in hand, until somebody takes it: who is done with the picture, or who gives it up.
        self._claim: Claim | None = None

    @contextmanager
    def turn_of(self, batch: Batch) -> Iterator[bool]:
        """Whether the batch may have its turn now; one whose pictures are enlarged has it after the one that does.

        It stands in the queue no more until then. Should this process die before, it is brought back there as all are.
        """
        if batch.task is not Task.ENHANCE:
            yield True
            return
        with self._lock:
            free, self._busy = not self._busy, True
            self._put_off |= set() if free else {batch.id}
        if not free:
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                self._busy = False
                put_off, self._put_off = self._put_off, set()
            for batch_id in put_off:
                self._queue.ask(batch_id)

    def enlarge(self, engine: Engine, photo: bytes, claim: Claim) -> bytes:
        """The picture enlarged.

        Raises:
            GivenUp: the process is to end; the claim was taken back.
            RequestError: it cannot be.
        """
        self._claim = claim
        if self._stopped:
            self._unclaim()
        try:
            return engine.enhance(photo, self._go_on).picture
        finally:
            if not self._take_claim():
                raise GivenUp

    def stop(self) -> None:
        """Have the picture in hand given up at its next tile.

        Its claim is taken back at once: a tile may take longer than this process is given.
        """
        self._stopped = True
        self._unclaim()

    def _go_on(self, _done: int, _tiles: int) -> None:
        if not self._claim:
            raise GivenUp

    def _unclaim(self) -> None:
        # A queue that cannot be told counts the attempt.
        with suppress(BatchError):
            if claim := self._take_claim():
                self._queue.unclaim(*claim)

    def _take_claim(self) -> Claim | None:
        with self._lock:
            claim, self._claim = self._claim, None
        return claim
