"""Batches with workers that a test steps by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visage.batches import Batches
from visage.batches.batch import (
    BatchOptions,
)
from visage.batches.leases import Life
from visage.batches.processing import Work
from visage.batches.queue import open_queue
from visage.batches.store import Store
from visage.faces.analyzer import Options
from visage.runtime.engine import Engine
from visage.settings import Settings


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Workshop:
    """Batches with the workers that a test gives turns to."""

    batches: Batches
    settings: Settings
    engine: Engine
    clock: Clock
    lives: list[Life] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)

    def life(self, machine: str = "machine") -> Life:
        self.lives.append(Life(self.batches.queue, self.settings.state_dir / machine, self.clock))
        return self.lives[-1]

    def worker(self, life: Life | None = None, engine: Any = None) -> Work:
        life = life or self.life()
        return Work(self.batches, life, lambda: engine or self.engine)

    def take_turns(self, worker: Work, most: int = 1000) -> list[str]:
        """Give `worker` its turns until the queue is empty; the batches whose turns they were."""
        taken: list[str] = []
        while len(taken) < most and (task := self.batches.queue.huey.dequeue()):
            taken.append(task.args[0])
            worker.turn(task.args[0])
        return taken

    def submit(self, *photos: bytes, options: BatchOptions | None = None) -> str:
        with self.batches.create() as new:
            for number, photo in enumerate(photos, 1):
                new.add(f"photo{number}.png", photo)
            self.submitted.append(new.submit(options or Options()).id)
        return self.submitted[-1]

    def kept(self) -> tuple[list[Path], dict[str, Any]]:
        """All that is kept of any batch in store and queue."""
        folder = self.settings.state_dir / "batches"
        noted: dict[str, Any] = self.batches.queue.huey.storage.result_items()
        counted = {f"{batch_id}.counts": self.batches.queue.counts(batch_id) for batch_id in self.submitted}
        return list(folder.rglob("*")), noted | {key: counts for key, counts in counted.items() if any(counts)}


@contextmanager
def opened(settings: Settings, engine: Engine, store: str = "") -> Iterator[Workshop]:
    queue = open_queue(settings, patience=30)
    queue.huey.storage.flush_all()
    # A turn that there is not must not be waited for.
    queue.huey.storage.blocking = False
    clock = Clock()
    batches = Batches(Store(store or str(settings.state_dir / "batches")), queue, settings.batch_hours, clock)
    workshop = Workshop(batches, settings, engine, clock)
    yield workshop
    for life in workshop.lives:
        die_out(life)
    queue.huey.storage.close()


def die_out(life: Life) -> None:
    """What the end of its process does to a consumer."""
    life._file.close()


def codes(workshop: Workshop, batch_id: str) -> list[str]:
    """What became of each file: `done`, `waiting` or the code of its failure."""
    files = workshop.batches.status(batch_id).files
    return [each.failure.code if each.failure else each.state.value for each in files]
