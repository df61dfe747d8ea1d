"""Batches with workers that a test steps by hand, and what can go wrong in them."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from visage.batches import Batches
from visage.batches.batch import BatchOptions
from visage.batches.consumer import Sweeper
from visage.batches.processing import Processor, ignore_result
from visage.batches.queue import open_queue
from visage.batches.quota import Quota
from visage.batches.results import Result
from visage.batches.state_machine import Counts, LeaseOwner
from visage.batches.store import Store
from visage.errors import BatchesUnavailable, StorageFull
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Engine
from visage.settings import Settings

HOUR = 3600


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Workshop:
    """Batches whose workers run only when a test calls `process`."""

    batches: Batches
    settings: Settings
    engine: Engine
    clock: Clock
    owners: list[LeaseOwner] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)

    def owner(self, machine: str = "machine") -> LeaseOwner:
        self.owners.append(LeaseOwner(self.batches.states, self.settings.state_dir / machine, self.clock))
        return self.owners[-1]

    def worker(
        self,
        owner: LeaseOwner | None = None,
        engine: Any = None,
        on_result: Callable[[Result], None] = ignore_result,
    ) -> Processor:
        return Processor(self.batches, owner or self.owner(), lambda: engine or self.engine, on_result)

    def process(self, worker: Processor, most: int = 1000) -> list[str]:
        """Let `worker` process files until the queue is empty; return the IDs of the batches in that order."""
        processed: list[str] = []
        while len(processed) < most and (task := self.batches.queue.huey.dequeue()):
            processed.append(task.args[0])
            worker.process_next(task.args[0])
        return processed

    def sweeper(self) -> Sweeper:
        return Sweeper(self.batches, self.clock)

    def submit(self, *photos: bytes, options: BatchOptions | None = None) -> str:
        with self.batches.create() as new:
            for number, photo in enumerate(photos, 1):
                new.add(f"photo{number}.png", photo)
            self.submitted.append(new.submit(options or AnalyzeOptions()).id)
        return self.submitted[-1]

    def limit_storage(self, max_bytes: int) -> None:
        """Let all batches together take at most this many bytes."""
        self.batches.quota = Quota(self.batches.queue, max_bytes, lambda: None)

    def kept(self) -> tuple[list[Path], dict[str, Any]]:
        """Return the paths in the store, and the keys and counters in the queue, of all batches."""
        folder = self.settings.state_dir / "batches"
        keys: dict[str, Any] = self.batches.queue.huey.storage.result_items()
        counters = {f"{batch_id}.counts": self.batches.states.counts(batch_id) for batch_id in self.submitted}
        return list(folder.rglob("*")), keys | {key: counts for key, counts in counters.items() if counts != Counts()}


@contextmanager
def opened(settings: Settings, engine: Engine, store: str = "") -> Iterator[Workshop]:
    queue = open_queue(settings, patience=30)
    queue.huey.storage.flush_all()
    # `dequeue` returns None for an empty queue, and does not wait.
    queue.huey.storage.blocking = False
    clock = Clock()
    batches = Batches(Store(store or str(settings.state_dir / "batches")), queue, settings.batch_hours, clock)
    workshop = Workshop(batches, settings, engine, clock)
    yield workshop
    for owner in workshop.owners:
        end_process_of(owner)
    queue.huey.storage.close()


def end_process_of(owner: LeaseOwner) -> None:
    """Release the file lock of an owner, as the end of its process does."""
    owner._file.close()


def codes(workshop: Workshop, batch_id: str) -> list[str]:
    """Return for each file its state, `done` or `waiting`, or the code of its failure."""
    files = workshop.batches.status(batch_id).files
    return [each.failure.code if each.failure else each.state.value for each in files]


class Killed(BaseException):
    """The sudden end of a process."""


def die(*_: object) -> None:
    raise Killed


def unreachable(*_: object) -> Any:
    raise BatchesUnavailable("It cannot be reached.")


def full(*_: object) -> None:
    raise StorageFull("There is no room.")


class HookedEngine:
    """An engine that calls a function with each photo before it processes the photo."""

    def __init__(self, engine: Engine, hook: Callable[[bytes], object]) -> None:
        self._engine = engine
        self._happening = hook
        self.pack = engine.pack
        self.leaks_memory = engine.leaks_memory

    def analyze(self, photo: bytes, *arguments: Any, **named: Any) -> Any:
        self._happening(photo)
        return self._engine.analyze(photo, *arguments, **named)


def stuck(monkeypatch: pytest.MonkeyPatch, batch_id: str) -> None:
    """Let the removal of the directories of a batch fail."""
    rmdir = Path.rmdir

    def refuse(path: Path) -> None:
        if batch_id in path.parts:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", refuse)


def stale(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Let every `stat` of a file of this `name` fail, as in a network file system whose server is down.

    Returns a list that collects the paths.
    """
    stats: list[str] = []
    stat = os.stat

    def fail(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        if str(path).endswith(name):
            stats.append(str(path))
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", fail)
    return stats
