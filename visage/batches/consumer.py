"""The batch process: threads that process files, and a sweep that enqueues lost batches and deletes expired ones.

On SIGTERM or SIGINT it finishes the files in progress, except an enhancement, and ends. However it ends, the next batch
process continues.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial

import cv2
from huey.consumer import Consumer

from visage.batches import Batches, huey_internals, open_batches
from visage.batches.batch import is_id, label
from visage.batches.processing import Processor, ignore_result
from visage.batches.results import Result
from visage.batches.state_machine import HEARTBEAT_SECONDS, LeaseOwner, State
from visage.errors import BatchError, SettingsError, VisageError
from visage.library_output import LibraryOutput
from visage.log_format import configure_logging
from visage.logs import cause, logger
from visage.packs.pack import find_pack
from visage.runtime.allocator import tune_allocator
from visage.runtime.engine import Engine
from visage.runtime.enhancer import find_enhance_pack
from visage.settings import Settings

SWEEP_SECONDS = 10.0

# How long a batch may have no description. A new batch has none for a moment, and another machine may see the
# description in a shared directory up to 60 seconds later (nfs(5), acdirmax).
UNDESCRIBED_SECONDS = 60.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# An idle thread polls the queue in intervals that grow from the first to the second.
_MIN_POLL_SECONDS = 0.05
_MAX_POLL_SECONDS = 0.5


class Sweeper:
    """Enqueues batches whose worker died while they were out of the queue, and deletes batches that have expired."""

    def __init__(self, batches: Batches, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns UTC seconds."""
        self._batches = batches
        self._clock = clock
        # By ID: when the batch was created, or since when it has had no description; both in UTC seconds.
        self._created: dict[str, float] = {}
        self._undescribed: dict[str, float] = {}

    def sweep(self) -> None:
        """Enqueue every batch that has not ended, and delete every batch that has expired or was cancelled."""
        stored = {batch_id for batch_id in self._batches.store.ids() if is_id(batch_id)}
        # Behind the list of IDs: a batch reserves its bytes before it is in the store.
        reserved = self._batches.quota.reservations().keys()
        ids = stored | self._batches.quota.ids()
        self._created = {batch_id: created for batch_id, created in self._created.items() if batch_id in ids}
        self._undescribed = {batch_id: since for batch_id, since in self._undescribed.items() if batch_id in ids}
        queued = self._batches.queue.queued()
        for batch_id in ids:
            try:
                if batch_id in stored:
                    self._sweep_batch(batch_id, queued=batch_id in queued, reserved=batch_id in reserved)
                else:
                    self._sweep_reservation(batch_id, queued=batch_id in queued)
            except BatchError as error:
                # The next sweep tries this batch again.
                fields = {"batch": label(batch_id), "error": cause(error)}
                logger.warning("batch_sweep_failed", extra={"fields": fields})

    def _sweep_batch(self, batch_id: str, *, queued: bool, reserved: bool) -> None:
        try:
            if batch_id not in self._created:
                self._created[batch_id] = self._batches.created_at(batch_id)
        except (FileNotFoundError, ValueError):
            if self._is_long_undescribed(batch_id):
                self._delete(batch_id, expired=False)
            return
        self._undescribed.pop(batch_id, None)
        end = self._batches.states.end_of(batch_id)
        expired = self._clock() >= self._batches.expires_at(self._created[batch_id])
        if expired or (end is not None and end.state is State.CANCELLED):
            self._delete(batch_id, expired=expired)
            return
        if not reserved:
            self._batches.restore_reservation(batch_id)
        if end is None and not queued:
            if self._batches.exists(batch_id):
                self._batches.queue.requeue(batch_id)
            else:
                # The batch was deleted, but files arrived later. Later sweeps delete them as undescribed.
                del self._created[batch_id]

    def _sweep_reservation(self, batch_id: str, *, queued: bool) -> None:
        """Release the reservation of a batch that is not in the store.

        Its process may have died before it was there. But the store may also be empty because it is not mounted, or
        another store than that of the other processes, so only a batch that was cancelled is deleted. If the others
        come back, the sweep restores their reservations.
        """
        if not self._is_long_undescribed(batch_id):
            return
        end = self._batches.states.end_of(batch_id)
        if end is not None and end.state is State.CANCELLED:
            self._delete(batch_id, expired=False)
        elif end is not None or not (queued or self._batches.states.counts(batch_id).started):
            self._batches.quota.release(batch_id)

    def _is_long_undescribed(self, batch_id: str) -> bool:
        return self._clock() >= self._undescribed.setdefault(batch_id, self._clock()) + UNDESCRIBED_SECONDS

    def _delete(self, batch_id: str, *, expired: bool) -> None:
        self._batches.delete(batch_id)
        logger.info("batch_deleted", extra={"fields": {"batch": label(batch_id), "expired": expired}})


class LazyEngine:
    """An engine that is loaded at the first call, because a service without batches should not spend memory on it."""

    def __init__(self, settings: Settings) -> None:
        # One slot per thread, so that no thread waits. No result cache: photos of a batch hardly repeat.
        self._settings = replace(settings, slots=settings.batch_jobs, cache_bytes=0)
        self._lock = threading.Lock()

    def __call__(self) -> Engine:
        with self._lock:
            return self._engine

    def release_idle_memory(self) -> None:
        """Release unused memory of the engine, if it is loaded."""
        if "_engine" in vars(self):
            self._engine.release_idle_memory()

    @cached_property
    def _engine(self) -> Engine:
        engine = Engine(self._settings)
        engine.warm_up()
        return engine


def main() -> None:
    """Process batches until a signal arrives; exit with one sentence if the process cannot start."""
    # Blocked signals stay pending until `sigtimedwait`, so they never interrupt a file in progress.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        settings = Settings.from_environment()
        configure_logging(settings.log_level)
        # A missing pack must be reported now, not with the first batch.
        find_pack(settings.pack, settings.models_dir)
        find_enhance_pack(settings)
        if "OPENCV_LOG_LEVEL" not in os.environ:
            # OpenCV would write a line for every damaged photo between the events of the log.
            # OpenCV 4.14 has moved the function.
            getattr(cv2.utils, "logging", cv2).setLogLevel(0)
        tune_allocator()
        # Other users of this machine must not read photos or results.
        os.umask(0o077)
        with LibraryOutput().diverted(), consuming(settings, open_batches(settings)) as processor:
            while not signal.sigtimedwait(_STOP_SIGNALS, SWEEP_SECONDS):
                if processor.should_recycle:
                    break
    except VisageError as error:
        sys.exit(f"visage.batches cannot start: {error}")
    if processor.should_recycle:
        # The new process keeps the process ID, so a supervisor notices nothing.
        os.execv(sys.executable, [sys.executable, "-m", "visage.batches"])  # noqa: S606


@contextmanager
def consuming(
    settings: Settings, batches: Batches, on_result: Callable[[Result], None] = ignore_result
) -> Iterator[Processor]:
    """Process `batches` in VISAGE_BATCH_JOBS threads until the block ends; call `on_result` with every new result.

    At the end of the block, files in progress are finished. An enhancement can take minutes, so it is stopped and left
    to the next batch process.

    Raises:
        SettingsError: VISAGE_BATCH_JOBS is 0, or the state directory cannot be used.
        BatchesUnavailable, StorageFull: the queue cannot be used.
    """
    if not settings.batch_jobs:
        raise SettingsError("VISAGE_BATCH_JOBS is 0, so this machine does not process batches.")
    owner = LeaseOwner(batches.states, settings.state_dir / "consumers")
    engine = LazyEngine(settings)
    processor = Processor(batches, owner, engine, on_result)
    batches.queue.process_next = processor.process_next
    consumer = Consumer(
        batches.queue.huey,
        workers=settings.batch_jobs,
        periodic=False,
        initial_delay=_MIN_POLL_SECONDS,
        max_delay=_MAX_POLL_SECONDS,
    )
    periodic_tasks = {
        owner.heartbeat: HEARTBEAT_SECONDS,
        Sweeper(batches).sweep: SWEEP_SECONDS,
        partial(huey_internals.replace_dead_threads, consumer): SWEEP_SECONDS,
        engine.release_idle_memory: SWEEP_SECONDS,
    }
    # The caller decides when to stop.
    stopped = huey_internals.stop_event(consumer)
    huey_internals.start_threads(consumer)
    for task, seconds in periodic_tasks.items():
        threading.Thread(target=_repeat, args=(task, seconds, stopped), daemon=True).start()
    logger.info("consumer_started", extra={"fields": {"jobs": settings.batch_jobs}})
    try:
        yield processor
    finally:
        stopped.set()
        processor.stop()
        consumer.stop(graceful=True)
        owner.close()
        logger.info("consumer_stopped")


def _repeat(task: Callable[[], None], seconds: float, stopped: threading.Event) -> None:
    """Run `task` every so many seconds until `stopped`; an error does not end the repetition."""
    while True:
        try:
            task()
        except Exception:
            logger.exception("consumer_task_failed")
        if stopped.wait(seconds):
            return
