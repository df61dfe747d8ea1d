"""Batches from submission to deletion: the facade over the store (files) and the queue (states, leases, results)."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, BinaryIO

from visage.batches.batch import (
    Batch,
    FileStatus,
    Progress,
    Status,
    Task,
    batch_from_json,
    created_from_json,
    is_id,
)
from visage.batches.new_batch import NewBatch
from visage.batches.queue import Queue, open_queue
from visage.batches.quota import Quota, most_bytes
from visage.batches.results import Done, Failure, Result, result_from_json, result_to_json
from visage.batches.state_machine import End, State, StateMachine, end_from_json, end_to_json
from visage.batches.store import Store, description_key, outcome_key, output_key
from visage.errors import BatchNotDone, BatchNotFound, StorageFull
from visage.settings import Settings

# The list of 10,000 files takes some megabytes.
_BATCHES_IN_MEMORY = 8


@dataclass(frozen=True)
class Output:
    """The result of a file: an image, or the analysis as JSON.

    `name` is the safe name of the file, `number` (from 1) its place in the batch. `open` reads `size` bytes.
    """

    name: str
    number: int
    size: int
    open: Callable[[], BinaryIO]


class Batches:
    """All batches. Any number of threads and processes may use the same store and queue, each with its own object.

    Every method raises StorageFull or BatchesUnavailable if store or queue fail. Methods that take an ID raise
    BatchNotFound if there is no batch with it, or no longer.
    """

    def __init__(
        self,
        store: Store,
        queue: Queue,
        hours: float,
        clock: Callable[[], float] = time.time,
        max_bytes: int | None = None,
    ) -> None:
        """Batches expire after `hours`, and take at most `max_bytes` together; `clock` returns UTC seconds.

        Without `max_bytes`, they take at most half of what is free on the disk, if the store has one.
        """
        self.store = store
        self.queue = queue
        self.states = StateMachine(queue)
        self.quota = Quota(queue, max_bytes, store.free_bytes)
        self._seconds = hours * 3600
        self._clock = clock
        self._cached = lru_cache(_BATCHES_IN_MEMORY)(self._read)

    def create(self, task: Task = Task.PREDICT, expected_bytes: int = 0) -> NewBatch:
        """Begin a batch. `expected_bytes` of photos are reserved in advance, as many as `task` needs for them."""
        return NewBatch(self.store, self.queue, self.quota, self._clock(), task=task, expected_bytes=expected_bytes)

    def find(self, batch_id: str) -> Batch:
        """Return the batch as it was submitted."""
        if is_id(batch_id) and self.exists(batch_id):
            batch = self._cached(batch_id)
            if self._clock() < self.expires_at(batch.created):
                return batch
        raise _not_found()

    def exists(self, batch_id: str) -> bool:
        """Whether the store has a description of this batch. `batch_id` must have the form of an ID."""
        return self.store.has(description_key(batch_id))

    def created_at(self, batch_id: str) -> float:
        """Return when a batch was created, in UTC seconds, even if not all of its files have arrived.

        Raises:
            FileNotFoundError: the store has no description of it.
            ValueError: the description cannot be read.
        """
        return created_from_json(self.store.read(description_key(batch_id)))

    def expires_at(self, created: float) -> float:
        """Return when a batch that was `created` then expires; both are in UTC seconds."""
        return created + self._seconds

    def progress(self, batch_id: str) -> Progress:
        """Return the progress of a batch. It is cheap enough to call several times a second."""
        return self._progress(self.find(batch_id))

    def initial_progress(self, batch: Batch) -> Progress:
        """Return the progress of a batch that was just submitted, without a request to store or queue."""
        return self._progress_of(batch, State.WAITING, 0, len(batch.rejected))

    def status(self, batch_id: str) -> Status:
        """Return the progress of a batch and the status of each of its files."""
        batch = self.find(batch_id)
        progress = self._progress(batch)
        results = self.final_results(batch) if progress.state is State.DONE else self.results(batch)
        files = (_file_status(number, entry.name, results.get(number)) for number, entry in enumerate(batch.entries, 1))
        return Status(progress, tuple(files))

    def outputs(self, batch_id: str) -> tuple[Output, ...]:
        """Return the results of a batch in the order of its files, without the files that failed.

        Raises:
            BatchNotDone: the batch is not done yet, or it failed as a whole.
        """
        batch = self.find(batch_id)
        progress = self._progress(batch)
        if progress.state is not State.DONE:
            reason = progress.reason or "it is still being processed; try again when its state is done."
            raise BatchNotDone(f"The batch has no result: {reason}")
        results = self.final_results(batch)
        sizes = self.store.sizes(f"{batch_id}/out")
        outputs = []
        for number, entry in enumerate(batch.entries, 1):
            result = results[number]
            if isinstance(result, Done):
                key = output_key(batch_id, number, result.attempt)
                if key not in sizes:
                    # Another process is deleting the batch.
                    raise _not_found()
                outputs.append(Output(entry.name, number, sizes[key], partial(self.store.open, key)))
        return tuple(outputs)

    def cancel(self, batch_id: str) -> None:
        """Delete a batch in any state. When this returns, nothing is left of it."""
        self.find(batch_id)
        self.delete(batch_id)

    def delete(self, batch_id: str) -> None:
        """Delete everything in store and queue, even if the batch is incomplete or has expired.

        A process that works on a file of it discards its result.
        """
        # A full disk must not prevent this: the deletion frees space.
        with suppress(StorageFull):
            self.states.end(batch_id, End(State.CANCELLED))
        try:
            count = len(self._read(batch_id).entries)
        except BatchNotFound:
            count = 0
        # The description goes last, so that a deletion that was interrupted can be continued.
        self._delete_photos(batch_id)
        self.states.forget_files(batch_id, range(1, count + 1))
        self.store.remove_all(batch_id)
        self.states.forget(batch_id)
        self.quota.release(batch_id)

    def restore_reservation(self, batch_id: str) -> None:
        """Reserve the bytes of a batch that has no reservation: the queue lost its data, or the batch is older."""
        with suppress(BatchNotFound):
            batch = self._read(batch_id)
            self.quota.restore(batch_id, self._most_bytes(batch), sum(self._stored_bytes(batch)))

    def results(self, batch: Batch) -> dict[int, Result]:
        """Return the results so far of a batch that has not ended, by number."""
        return batch.rejected | self.states.results(batch.id, batch.accepted)

    def restore_end(self, batch: Batch) -> End | None:
        """If the store has the end of a batch, write it to the queue, which has lost its data, and return it."""
        if not self.store.has(outcome_key(batch.id)):
            return None
        return self.states.end(batch.id, end_from_json(self._outcome(batch.id)["end"]))

    def finish(self, batch: Batch, results: dict[int, Result]) -> End:
        """Make a batch DONE. `results` has a result for each of its files; photos and leases are deleted."""
        done = sum(isinstance(result, Done) for result in results.values())
        end = End(State.DONE, done, len(results) - done)
        plain = {str(number): result_to_json(result) for number, result in sorted(results.items())}
        self.store.write(outcome_key(batch.id), json.dumps({"end": end_to_json(end), "results": plain}).encode())
        # Before the batch ends: if this fails, a worker finishes the batch again.
        self.store.remove_all(f"{batch.id}/in")
        self.quota.settle(batch.id, self._most_bytes(batch))
        end = self.states.end(batch.id, end)
        self.states.forget_files(batch.id, batch.accepted)
        return end

    def fail(self, batch_id: str, reason: str) -> End:
        """Make a batch FAILED if it has not ended, and delete its photos and results; return how it ended."""
        batch = self.find(batch_id)
        end = self.states.end_of(batch_id)
        if end is None:
            try:
                end = self._end_failed(batch, reason)
            except StorageFull:
                self._delete_photos(batch_id)
                end = self._end_failed(batch, reason)
        if end.state is State.FAILED:
            self._delete_photos(batch_id)
            self.quota.settle(batch_id, self._most_bytes(batch))
        return end

    def _progress(self, batch: Batch) -> Progress:
        if end := self.states.end_of(batch.id):
            return self._final_progress(batch, end)
        counts = self.states.counts(batch.id)
        if not counts.started and (end := self.restore_end(batch)):
            return self._final_progress(batch, end)
        state = State.RUNNING if counts.started else State.WAITING
        return self._progress_of(batch, state, counts.done, counts.failed + len(batch.rejected))

    def _final_progress(self, batch: Batch, end: End) -> Progress:
        if end.state is State.CANCELLED:
            raise _not_found()
        return self._progress_of(batch, end.state, end.done, end.failed, end.reason)

    def _progress_of(self, batch: Batch, state: State, done: int, failed: int, reason: str = "") -> Progress:
        expires = self.expires_at(batch.created)
        total = len(batch.entries)
        return Progress(batch.id, batch.task, state, total, done, failed, batch.created, expires, reason)

    def _most_bytes(self, batch: Batch) -> int:
        """Return the most bytes that a batch may need, with what is in the store. One that ended takes no more."""
        photos, results = self._stored_bytes(batch)
        return most_bytes(batch.task, len(batch.entries), photos) + results

    def _stored_bytes(self, batch: Batch) -> tuple[int, int]:
        """Return the bytes of the photos and of the results of a batch in the store."""
        photos, results = (sum(self.store.sizes(f"{batch.id}/{part}").values()) for part in ("in", "out"))
        return photos, results

    def _end_failed(self, batch: Batch, reason: str) -> End:
        counts = self.states.counts(batch.id)
        return self.states.end(batch.id, End(State.FAILED, counts.done, counts.failed + len(batch.rejected), reason))

    def _delete_photos(self, batch_id: str) -> None:
        for part in ("in", "out"):
            self.store.remove_all(f"{batch_id}/{part}")

    def _read(self, batch_id: str) -> Batch:
        try:
            batch = batch_from_json(batch_id, self.store.read(description_key(batch_id)))
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

    def final_results(self, batch: Batch) -> dict[int, Result]:
        """Return the results of a batch that is done, by number. Those that a person corrected are in the queue."""
        results = self._outcome(batch.id)["results"].items()
        first = {int(number): result_from_json(plain) for number, plain in results}
        return first | self.states.results(batch.id, batch.accepted)


def open_batches(settings: Settings, patience: float = 30.0) -> Batches:
    """Return the batches in the store and the queue that `settings` name. Processes may fork afterwards.

    A queue that does not respond within `patience` seconds is unavailable.

    Raises:
        SettingsError: the state directory or the store cannot be used, or a package for them is missing.
    """
    queue = open_queue(settings, patience)
    store = Store(settings.batch_store or str(settings.state_dir.absolute() / "batches"))
    return Batches(store, queue, settings.batch_hours, max_bytes=settings.batch_storage_bytes)


def _file_status(number: int, name: str, result: Result | None) -> FileStatus:
    match result:
        case Done():
            converted_to = result.converted_to
            return FileStatus(number, name, State.DONE, result.faces, cover=result.cover, converted_to=converted_to)
        case Failure():
            return FileStatus(number, name, State.FAILED, failure=result)
    return FileStatus(number, name, State.WAITING)


def _not_found() -> BatchNotFound:
    return BatchNotFound("There is no batch of this id; it may have been deleted, which happens after some hours.")
