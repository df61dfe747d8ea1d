"""Enhancement in a batch process: one image at a time, without delaying other batches, and it can be stopped."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from visage.batches.batch import Batch, Task
from visage.batches.queue import Queue
from visage.batches.state_machine import Lease, StateMachine
from visage.enhance.results import Enhanced, EnhanceOptions
from visage.errors import BatchError
from visage.runtime.engine import Engine


class Stopped(Exception):
    """The process ends. The lease on the image is released, so its attempt does not count."""


class Enhancement:
    """The image that the process enhances; all of its threads share this object."""

    def __init__(self, queue: Queue, states: StateMachine) -> None:
        self._queue = queue
        self._states = states
        self._lock = threading.Lock()
        self._busy = False
        self._postponed: set[str] = set()
        self._stopped = False
        # The lease on the image in progress. The thread that finishes or stops the image takes it, and only one can.
        self._lease: Lease | None = None

    @contextmanager
    def admit(self, batch: Batch) -> Iterator[bool]:
        """Yield whether the batch may be processed now. A second batch to enhance must wait for the first.

        It is enqueued when the first is done with its image. If this process dies before, the sweep enqueues it.
        """
        if batch.task is not Task.ENHANCE:
            yield True
            return
        with self._lock:
            admitted, self._busy = not self._busy, True
            if not admitted:
                self._postponed.add(batch.id)
        if not admitted:
            yield False
            return
        try:
            yield True
        finally:
            with self._lock:
                self._busy = False
                postponed, self._postponed = self._postponed, set()
            for batch_id in postponed:
                self._queue.enqueue(batch_id)

    def enhance(self, engine: Engine, photo: bytes, lease: Lease, options: EnhanceOptions) -> Enhanced:
        """Return the enhanced image.

        Raises:
            Stopped: the process ends; the lease was released.
            RequestError: the image cannot be enhanced.
        """
        self._lease = lease
        if self._stopped:
            self._release()
        try:
            return engine.enhance(photo, self._check_stopped, options)
        finally:
            if not self._take_lease():
                raise Stopped

    def stop(self) -> None:
        """Stop the image in progress at its next tile, and release its lease now, because a tile can take long."""
        self._stopped = True
        self._release()

    def _check_stopped(self, _done: int, _tiles: int) -> None:
        if not self._lease:
            raise Stopped

    def _release(self) -> None:
        # If the queue is unavailable, the attempt counts.
        with suppress(BatchError):
            if lease := self._take_lease():
                self._states.release(lease)

    def _take_lease(self) -> Lease | None:
        with self._lock:
            lease, self._lease = self._lease, None
        return lease
