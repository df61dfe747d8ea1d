"""The process that works on batches: threads that take files, and a look now and then at what was left or is too old.

SIGTERM has it finish the files in hand, but for a picture that is being enlarged, and end; whenever else it ends, the
next one goes on where it was.
"""

import logging.config
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import cv2
from huey.consumer import Consumer

from visage.batches import Batches, open_batches
from visage.batches.batch import State, is_id, label
from visage.batches.leases import PULSE_SECONDS, Life
from visage.batches.processing import Work
from visage.errors import BatchError, SettingsError, VisageError
from visage.log_format import log_config
from visage.logs import cause, logger
from visage.packs.pack import find_pack
from visage.runtime.allocator import tune_allocator
from visage.runtime.engine import Engine
from visage.runtime.enhancer import find_enhance_pack
from visage.settings import Settings

LOOK_SECONDS = 10.0

# A batch that is being made has no description for a moment, or, as another machine sees a shared directory, until that
# looks anew: after 60 seconds at most (nfs(5), acdirmax).
NAMELESS_SECONDS = 60.0

_WISHES_TO_STOP = (signal.SIGTERM, signal.SIGINT)

# How long an idle thread leaves the queue alone: at first, and at most.
_SHORTEST_IDLE_SECONDS = 0.05
_LONGEST_IDLE_SECONDS = 0.5


class Caretaker:
    """Looks after batches that nobody asks for: those that a dead worker left, and those that are too old."""

    def __init__(self, batches: Batches, clock: Callable[[], float] = time.time) -> None:
        self._batches = batches
        self._clock = clock
        # When each batch was begun; and of folders in which nothing says what they are, since when.
        self._created: dict[str, float] = {}
        self._nameless: dict[str, float] = {}

    def look(self) -> None:
        """Have every batch that has not ended stand in the queue, and delete what has expired or was called off."""
        ids = {batch_id for batch_id in self._batches.store.ids() if is_id(batch_id)}
        self._created = {batch_id: created for batch_id, created in self._created.items() if batch_id in ids}
        self._nameless = {batch_id: since for batch_id, since in self._nameless.items() if batch_id in ids}
        waiting = self._batches.queue.waiting()
        for batch_id in ids:
            try:
                self._look_at(batch_id, waits=batch_id in waiting)
            except BatchError as error:
                # The others' turn comes all the same, and this one's again.
                fields = {"batch": label(batch_id), "error": cause(error)}
                logger.warning("batch_look_failed", extra={"fields": fields})

    def _look_at(self, batch_id: str, *, waits: bool) -> None:
        try:
            if batch_id not in self._created:
                self._created[batch_id] = self._batches.created(batch_id)
        except (FileNotFoundError, ValueError):
            since = self._nameless.setdefault(batch_id, self._clock())
            if self._clock() >= since + NAMELESS_SECONDS:
                self._delete(batch_id, expired=False)
            return
        end = self._batches.queue.ended(batch_id)
        expired = self._clock() >= self._batches.expires(self._created[batch_id])
        if expired or (end is not None and end.state is State.CANCELLED):
            self._delete(batch_id, expired=expired)
        elif end is None and not waits:
            if self._batches.exists(batch_id):
                self._batches.queue.ask_anew(batch_id)
            else:
                # It was deleted; what lies there came later, and goes like all that is nameless.
                del self._created[batch_id]

    def _delete(self, batch_id: str, *, expired: bool) -> None:
        self._batches.wipe(batch_id)
        logger.info("batch_deleted", extra={"fields": {"batch": label(batch_id), "expired": expired}})


class LazyEngine:
    """The engine, loaded when it is first asked for: a service without batches has no memory to spare for it."""

    def __init__(self, settings: Settings) -> None:
        # As many slots as threads, so that none ever waits for one. No photo of a batch comes twice.
        self._settings = replace(settings, slots=settings.batch_jobs, cache_bytes=0)
        self._lock = threading.Lock()

    def __call__(self) -> Engine:
        with self._lock:
            return self._engine

    def release_idle_memory(self) -> None:
        """What `Engine.release_idle_memory` does, where there is an engine."""
        if "_engine" in vars(self):
            self._engine.release_idle_memory()

    @cached_property
    def _engine(self) -> Engine:
        engine = Engine(self._settings)
        engine.warm_up()
        return engine


class _Consumer(Consumer):  # type: ignore[misc]
    """huey's, without its signals: when to stop is for whoever started it."""

    def _set_signal_handlers(self) -> None:
        """None of its own."""


def main() -> None:
    """Work on batches until a signal ends it; exit with one sentence if it cannot start."""
    # Kept until they are asked for: whenever a wish to stop comes, what is in hand is finished.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WISHES_TO_STOP)
    try:
        settings = Settings.from_environment()
        logging.config.dictConfig(log_config(settings.log_level))
        # Found out now, not when the first batch comes.
        find_pack(settings.pack, settings.models_dir)
        find_enhance_pack(settings)
        if "OPENCV_LOG_LEVEL" not in os.environ:
            # It would write lines of its own between the events, one for every damaged photo.
            # In 4.14 the function has moved.
            getattr(cv2.utils, "logging", cv2).setLogLevel(0)
        tune_allocator()
        # Photos of batches and what is known of them are for nobody else on this machine.
        os.umask(0o077)
        with consuming(settings, open_batches(settings)) as work:
            while not signal.sigtimedwait(_WISHES_TO_STOP, LOOK_SECONDS):
                if work.worn_out:
                    break
    except VisageError as error:
        sys.exit(f"visage.batches cannot start: {error}")
    if work.worn_out:
        # In place of this process, for whoever started it.
        os.execv(sys.executable, [sys.executable, "-m", "visage.batches"])  # noqa: S606


@contextmanager
def consuming(settings: Settings, batches: Batches) -> Iterator[Work]:
    """Work on `batches`, with as many threads as `settings` say, until the block ends; what is in hand is finished.

    But for a picture that is being enlarged, which can take minutes: that is left to the next who works on batches.

    Raises:
        SettingsError: there is nothing to be done here.
        BatchesUnavailable, StorageFull: the queue cannot be used.
    """
    if not settings.batch_jobs:
        raise SettingsError("VISAGE_BATCH_JOBS is 0: batches are for other machines to work on.")
    life = Life(batches.queue, settings.state_dir / "consumers")
    engine = LazyEngine(settings)
    work = Work(batches, life, engine)
    batches.queue.worker = work.turn
    consumer = _Consumer(
        batches.queue.huey,
        workers=settings.batch_jobs,
        periodic=False,
        initial_delay=_SHORTEST_IDLE_SECONDS,
        max_delay=_LONGEST_IDLE_SECONDS,
    )
    rounds = {
        life.beat: PULSE_SECONDS,
        Caretaker(batches).look: LOOK_SECONDS,
        consumer.check_worker_health: LOOK_SECONDS,
        engine.release_idle_memory: LOOK_SECONDS,
    }
    consumer.start()
    for action, seconds in rounds.items():
        threading.Thread(target=_repeat, args=(action, seconds, consumer.stop_flag), daemon=True).start()
    logger.info("consumer_started", extra={"fields": {"jobs": settings.batch_jobs}})
    try:
        yield work
    finally:
        consumer.stop_flag.set()
        work.stop()
        consumer.stop(graceful=True)
        life.end()
        logger.info("consumer_stopped")


def _repeat(action: Callable[[], None], seconds: float, stopped: threading.Event) -> None:
    """Do it every so many seconds; what fails is tried again the next time."""
    while True:
        try:
            action()
        except Exception:
            logger.exception("consumer_round_failed")
        if stopped.wait(seconds):
            return
