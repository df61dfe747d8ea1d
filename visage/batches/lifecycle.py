"""Many photos at once: handed in as a batch, worked on by processes of their own, fetched when they are done.

What a batch is, and every file of it, lies in the store; who works on what stands in the queue. `python -m
visage.batches` is what works on them.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, BinaryIO

from visage.batches.batch import (
    Batch,
    Done,
    End,
    Failure,
    FileStatus,
    Progress,
    Result,
    State,
    Status,
    batch_from_bytes,
    created_from_bytes,
    end_as_json,
    end_from_json,
    is_id,
    result_as_json,
    result_from_json,
)
from visage.batches.new_batch import NewBatch
from visage.batches.queue import Queue, open_queue
from visage.batches.store import Store, description_key, outcome_key, output_key
from visage.errors import BatchNotDone, BatchNotFound, StorageFull
from visage.settings import Settings

# Batches whose lists of files are kept in memory: that of 10,000 files takes some megabytes.
_BATCHES_IN_MEMORY = 8


@dataclass(frozen=True)
class Output:
    """The result of a file, `size` bytes that `open` reads: a picture, or the analysis as JSON.

    `name` is the client's; `number` is that of the file in its batch, from 1.
    """

    name: str
    number: int
    size: int
    open: Callable[[], BinaryIO]


class Batches:
    """All batches there are. Any number of threads and processes may use the same, each with an object of its own.

    Every method raises StorageFull or BatchesUnavailable where store or queue fail, and those that take an id raise
    BatchNotFound for what is not, or no more, the id of a batch.
    """

    def __init__(self, store: Store, queue: Queue, hours: float, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.queue = queue
        self._seconds = hours * 3600
        self._clock = clock
        self._submitted = lru_cache(_BATCHES_IN_MEMORY)(self._read)

    def create(self) -> NewBatch:
        """Begin a batch."""
        return NewBatch(self.store, self.queue, self._clock())

    def find(self, batch_id: str) -> Batch:
        """The batch as it was handed in."""
        if is_id(batch_id) and self.exists(batch_id):
            batch = self._submitted(batch_id)
            if self._clock() < self.expires(batch.created):
                return batch
        raise _not_found()

    def exists(self, batch_id: str) -> bool:
        """Whether anything may still be kept for a batch of this id, which has the shape of one."""
        return self.store.has(description_key(batch_id))

    def expires(self, created: float) -> float:
        """When a batch of that time is deleted, in UTC seconds."""
        return created + self._seconds

    def progress(self, batch_id: str) -> Progress:
        """How far a batch is, in a few numbers: cheap enough to be asked several times a second."""
        return self._progress(self.find(batch_id))

    def at_first(self, batch: Batch) -> Progress:
        """How far a batch is that has just been handed in; nothing is looked up."""
        return self._as_progress(batch, End(State.WAITING, 0, len(batch.refused)))

    def status(self, batch_id: str) -> Status:
        """How far a batch is, and each of its files."""
        batch = self.find(batch_id)
        progress = self._progress(batch)
        results = self._final_results(batch_id) if progress.state is State.DONE else self.results(batch)
        files = (_file_status(number, entry.name, results.get(number)) for number, entry in enumerate(batch.entries, 1))
        return Status(progress, tuple(files))

    def outputs(self, batch_id: str) -> tuple[Output, ...]:
        """The results of a batch in the order of its files, without those that failed.

        Raises:
            BatchNotDone: the batch has no result: not yet, or it failed as a whole.
        """
        batch = self.find(batch_id)
        progress = self._progress(batch)
        if progress.state is not State.DONE:
            reason = progress.reason or "it is still being worked on; ask for its state until that is done."
            raise BatchNotDone(f"The batch has no result: {reason}")
        results = self._final_results(batch_id)
        sizes = self.store.sizes(f"{batch_id}/out")
        outputs = []
        for number, entry in enumerate(batch.entries, 1):
            result = results[number]
            if isinstance(result, Done):
                key = output_key(batch_id, number, result.attempt)
                if key not in sizes:
                    # It is being deleted.
                    raise _not_found()
                outputs.append(Output(entry.name, number, sizes[key], partial(self.store.open, key)))
        return tuple(outputs)

    def cancel(self, batch_id: str) -> None:
        """Call a batch off, or drop one that is done: when this returns, nothing is kept of it."""
        self.find(batch_id)
        self.wipe(batch_id)

    def wipe(self, batch_id: str) -> None:
        """Delete all that is kept of a batch, wherever it stands; files in hand are dropped by who has them."""
        # Without room even for this, what follows makes some.
        with suppress(StorageFull):
            self.queue.cancel(batch_id)
        try:
            count = len(self._read(batch_id).entries)
        except BatchNotFound:
            count = 0
        # Its description goes last: whoever finds the batch half deleted knows how to go on.
        self._drop_photos(batch_id)
        self.queue.forget_files(batch_id, range(1, count + 1))
        self.store.remove_all(batch_id)
        self.queue.forget(batch_id)

    def results(self, batch: Batch) -> dict[int, Result]:
        """The results of a batch that is being worked on, by number, as far as there are any."""
        return batch.refused | self.queue.results(batch.id, batch.accepted)

    def recall(self, batch: Batch) -> End | None:
        """How a batch ended of which the queue, if it lost its memory, knows nothing: done is not begun anew."""
        if not self.store.has(outcome_key(batch.id)):
            return None
        return self.queue.end(batch.id, end_from_json(self._outcome(batch.id)["end"]))

    def finish(self, batch: Batch, results: dict[int, Result]) -> End:
        """Note the results of a batch, one for each of its files; what was only needed on the way goes."""
        done = sum(isinstance(result, Done) for result in results.values())
        end = End(State.DONE, done, len(results) - done)
        plain = {str(number): result_as_json(result) for number, result in sorted(results.items())}
        self.store.write(outcome_key(batch.id), json.dumps({"end": end_as_json(end), "results": plain}).encode())
        # Before it has ended: should this fail, it is tried again.
        self.store.remove_all(f"{batch.id}/in")
        end = self.queue.end(batch.id, end)
        self.queue.forget_files(batch.id, batch.accepted)
        return end

    def fail(self, batch_id: str, reason: str) -> End:
        """Give a batch up as a whole if it has not ended; its photos and results go. How it ended comes back."""
        batch = self.find(batch_id)
        end = self.queue.ended(batch_id)
        if end is None:
            try:
                end = self._note_failed(batch, reason)
            except StorageFull:
                self._drop_photos(batch_id)
                end = self._note_failed(batch, reason)
        if end.state is State.FAILED:
            self._drop_photos(batch_id)
        return end

    def created(self, batch_id: str) -> float:
        """When a batch was begun, in UTC seconds, even if not all of it has come.

        FileNotFoundError if it was not, ValueError if that cannot be read.
        """
        return created_from_bytes(self.store.read(description_key(batch_id)))

    def _progress(self, batch: Batch) -> Progress:
        end = self.queue.ended(batch.id)
        if end is None:
            handed_out, done, failed = self.queue.counts(batch.id)
            state = State.RUNNING if handed_out else State.WAITING
            end = (not handed_out and self.recall(batch)) or End(state, done, failed + len(batch.refused))
        if end.state is State.CANCELLED:
            raise _not_found()
        return self._as_progress(batch, end)

    def _as_progress(self, batch: Batch, end: End) -> Progress:
        return Progress(
            *(batch.id, batch.task, end.state, len(batch.entries), end.done, end.failed),
            *(batch.created, self.expires(batch.created), end.reason),
        )

    def _note_failed(self, batch: Batch, reason: str) -> End:
        _, done, failed = self.queue.counts(batch.id)
        return self.queue.end(batch.id, End(State.FAILED, done, failed + len(batch.refused), reason))

    def _drop_photos(self, batch_id: str) -> None:
        for part in ("in", "out"):
            self.store.remove_all(f"{batch_id}/{part}")

    def _read(self, batch_id: str) -> Batch:
        try:
            batch = batch_from_bytes(batch_id, self.store.read(description_key(batch_id)))
        except (FileNotFoundError, ValueError):
            raise _not_found() from None
        if not batch.entries:
            raise _not_found()
        return batch

    def _outcome(self, batch_id: str) -> dict[str, Any]:
        try:
            outcome: dict[str, Any] = json.loads(self.store.read(outcome_key(batch_id)))
        except FileNotFoundError:
            raise _not_found() from None
        return outcome

    def _final_results(self, batch_id: str) -> dict[int, Result]:
        return {int(number): result_from_json(plain) for number, plain in self._outcome(batch_id)["results"].items()}


def open_batches(settings: Settings, patience: float = 30.0) -> Batches:
    """The batches of the store and the queue that `settings` name. Processes may fork afterwards.

    A queue that does not answer within `patience` seconds is unavailable.

    Raises:
        SettingsError: the state directory or the store cannot be used, or a package for them is missing.
    """
    queue = open_queue(settings, patience)
    store = Store(settings.batch_store or str(settings.state_dir.absolute() / "batches"))
    return Batches(store, queue, settings.batch_hours)


def _file_status(number: int, name: str, result: Result | None) -> FileStatus:
    match result:
        case Done(faces):
            return FileStatus(number, name, State.DONE, faces)
        case Failure():
            return FileStatus(number, name, State.FAILED, failure=result)
    return FileStatus(number, name, State.WAITING)


def _not_found() -> BatchNotFound:
    return BatchNotFound("There is no batch of this id; it may have been deleted, which happens after some hours.")
