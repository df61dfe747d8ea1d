"""Process one file of a batch: from its lease to its result."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress

from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.batches import Batches
from visage.batches.batch import Batch, label
from visage.batches.enhancement import Enhancement, Stopped
from visage.batches.quota import most_bytes
from visage.batches.results import Done, Failure, Result
from visage.batches.state_machine import MAX_ATTEMPTS, End, Lease, LeaseOwner
from visage.batches.store import input_key, output_key
from visage.enhance.results import Enhanced, EnhanceOptions
from visage.errors import BatchError, BatchesUnavailable, BatchNotFound, RequestError, StorageFull, VisageError
from visage.faces.analyzer import AnalyzeOptions
from visage.logs import cause, logger
from visage.runtime.engine import RECYCLE_AFTER_PHOTOS, Engine

LOST = Failure("The photo was lost before it was processed; send it again.", "file_lost")
UNEXPECTED = Failure("The photo failed because of an unexpected error.", VisageError.code)
FATAL = Failure("The photo was skipped: the process ended each time it processed the photo.", "file_fatal")

# After an error of store or queue, so that a short outage does not use up the attempts of all files.
PAUSE_SECONDS = 1.0


def ignore_result(_result: Result) -> None:
    """The default for `on_result`."""


class Processor:
    """Processes files of batches. As many threads may share it as the engine has slots."""

    def __init__(
        self,
        batches: Batches,
        owner: LeaseOwner,
        engine: Callable[[], Engine],
        on_result: Callable[[Result], None] = ignore_result,
    ) -> None:
        """`engine` is called for every file; the first call may take seconds. `on_result` gets every new result."""
        self._batches = batches
        self._queue = batches.queue
        self._states = batches.states
        self._store = batches.store
        self._owner = owner
        self._engine = engine
        self._on_result = on_result
        # A file whose lease has expired may have killed its process. Such files are processed one at a time: if this
        # process dies too, only one of them loses an attempt.
        self._retrying = threading.Lock()
        self._finishing = threading.Lock()
        self._enhancement = Enhancement(batches.queue, batches.states)
        # Batch and number of the files in progress. This process no longer works on its other leases: it lost them in
        # an outage of the queue.
        self._in_progress: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._photos = itertools.count()
        # Whether a new process should replace this one, because the engine leaks memory.
        self.should_recycle = False

    def process_next(self, batch_id: str) -> None:
        """Process one file of a batch that has left the queue. Raises nothing.

        Nothing happens if the batch has ended, or if other threads or processes work on all of its remaining files.
        """
        try:
            self._queue.dequeued(batch_id)
            batch = self._batches.find(batch_id)
            with self._enhancement.admit(batch) as admitted:
                if admitted and not self._states.end_of(batch_id) and self._process_file_of(batch):
                    # Another file may be left, or the batch must be finished.
                    self._queue.enqueue(batch_id)
        except (BatchNotFound, FileNotFoundError):
            return  # The batch was deleted.
        except StorageFull as error:
            self._fail(batch_id, str(error))
        except Exception as error:
            _warn_failed(batch_id, error)
            time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Stop an enhancement, which can take minutes; other files in progress are finished."""
        self._enhancement.stop()

    def _process_file_of(self, batch: Batch) -> bool:
        """Process a file that was never started, or else one whose lease has expired; return whether there was one."""
        # Load the engine before a file is started: if that fails, no attempt counts.
        self._engine()
        numbers = batch.accepted
        # Also before a file is started: the store may be unavailable.
        if not self._states.counts(batch.id).started and self._batches.restore_end(batch):
            return False
        index = self._states.start_next(batch.id)
        if index >= len(numbers):
            return self._process_rest(batch)
        # Other workers may process the next file meanwhile.
        self._queue.enqueue(batch.id)
        self._lease_and_process(batch, numbers[index], 1)
        return True

    def _process_rest(self, batch: Batch) -> bool:
        """Process a file whose lease has expired; finish the batch if every file has its result."""
        results = self._batches.results(batch)
        missing = [number for number in batch.accepted if number not in results]
        if not missing:
            self._finish(batch, results)
        for number in missing:
            last = self._states.last_lease(batch.id, number)
            if last.attempt and self._is_valid(last):
                continue
            if last.attempt == MAX_ATTEMPTS:
                self._record(batch, last, FATAL)
                return True
            with self._retrying if last.attempt else nullcontext():
                if self._lease_and_process(batch, number, last.attempt + 1):
                    return True
        return False

    def _finish(self, batch: Batch, results: dict[int, Result]) -> None:
        with self._finishing:
            if self._states.end_of(batch.id):
                return
            _log_end(batch.id, self._batches.finish(batch, results))
            if self._is_deleted(batch.id):
                self._states.forget(batch.id)

    def _is_valid(self, lease: Lease) -> bool:
        if lease.owner == self._owner.id:
            return (lease.batch_id, lease.number) in self._in_progress
        return not self._owner.expired(lease.owner)

    def _lease_and_process(self, batch: Batch, number: int, attempt: int) -> bool:
        """Lease a file and process it; False if the lease cannot be had."""
        file = batch.id, number
        with self._lock:
            if file in self._in_progress:
                return False
            self._in_progress.add(file)
        try:
            lease = Lease(batch.id, number, attempt, self._owner.id)
            leased = self._states.lease(lease)
            if leased:
                self._process(batch, lease)
        finally:
            self._in_progress.discard(file)
        return leased

    def _process(self, batch: Batch, lease: Lease) -> None:
        """Process a leased file; if that raises, its lease expires."""
        try:
            self._process_photo(batch, lease)
        except StorageFull:
            raise
        except Exception:
            with suppress(BatchError):
                self._states.expire(lease)
            raise

    def _process_photo(self, batch: Batch, lease: Lease) -> None:
        started = time.perf_counter()
        engine = self._engine()
        self.should_recycle = engine.leaks_memory and next(self._photos) >= RECYCLE_AFTER_PHOTOS
        key = input_key(batch.id, lease.number)
        try:
            photo = self._store.read(key)
            result = self._result(engine, batch, photo, lease)
        except FileNotFoundError:
            photo, result = b"", LOST
        except Stopped:
            return
        if self._record(batch, lease, result, time.perf_counter() - started):
            self._store.remove(key)
            self._batches.quota.add_stored(batch.id, -len(photo))
        else:
            self._store.remove(output_key(batch.id, lease.number, lease.attempt))

    def _result(self, engine: Engine, batch: Batch, photo: bytes, lease: Lease) -> Result:
        """Process a photo and store its output; FileNotFoundError if the batch was deleted meanwhile."""
        try:
            content, done = self._output(engine, batch, photo, lease)
        except RequestError as error:
            return Failure.of(error)
        except Stopped:
            raise
        except Exception as error:
            logger.error("batch_file_unexpected", exc_info=error, extra={"fields": {"batch": label(batch.id)}})
            return UNEXPECTED
        # Most results fit in what their photo has reserved.
        if (excess := len(content) - most_bytes(batch.task, 1, len(photo))) > 0:
            self._batches.quota.reserve(batch.id, excess)
        self._store.write(output_key(batch.id, lease.number, lease.attempt), content)
        self._batches.quota.add_stored(batch.id, len(content))
        return done

    def _output(self, engine: Engine, batch: Batch, photo: bytes, lease: Lease) -> tuple[bytes, Done]:
        """Return the encoded image or the JSON, and what the batch notes about it."""
        match batch.options_of(lease.number):
            case AnonymizeOptions() as options:
                anonymized = engine.anonymize(photo, options)
                done = Done(len(anonymized.faces), lease.attempt, len(anonymized.cover), converted_to(anonymized))
                return anonymized.picture, done
            case AnalyzeOptions() as options:
                analysis = engine.analyze(photo, options, annotated=False)
                return json.dumps(analysis.as_json(engine.pack)).encode(), Done(len(analysis.faces), lease.attempt)
            case EnhanceOptions() as options:
                enhanced = self._enhancement.enhance(engine, photo, lease, options)
                return enhanced.picture, Done(None, lease.attempt, converted_to=converted_to(enhanced))

    def _record(self, batch: Batch, lease: Lease, result: Result, seconds: float = 0.0) -> bool:
        """Record a result if the file has none and the batch has not ended; return whether it was recorded."""
        if self._states.end_of(batch.id) or not self._states.record(batch.id, lease.number, result):
            return False
        if self._is_deleted(batch.id):
            # Delete what was recorded after the deletion. The other files are deleted by whoever deletes the batch.
            self._states.forget_files(batch.id, [lease.number])
            self._states.forget(batch.id)
            return False
        self._on_result(result)
        self._states.count(batch.id, result)
        outcome = {"faces": result.faces} if isinstance(result, Done) else {"code": result.code}
        milliseconds = round(seconds * 1000, 1)
        _log("batch_file", batch.id, file=lease.number, attempt=lease.attempt, milliseconds=milliseconds, **outcome)
        return True

    def _is_deleted(self, batch_id: str) -> bool:
        """Whether a batch was deleted; False if the store is unavailable, so that no result is lost."""
        try:
            return not self._batches.exists(batch_id)
        except BatchesUnavailable:
            return False

    def _fail(self, batch_id: str, reason: str) -> None:
        try:
            _log_end(batch_id, self._batches.fail(batch_id, reason))
        except Exception as error:
            _warn_failed(batch_id, error)


def converted_to(changed: Anonymized | Enhanced) -> str | None:
    """Return the format of a new picture if it is not that of its photo, else None."""
    return changed.format if changed.format != changed.original_format else None


def _log_end(batch_id: str, end: End) -> None:
    reason = {"reason": end.reason} if end.reason else {}
    _log(f"batch_{end.state.value}", batch_id, done=end.done, failed=end.failed, **reason)


def _log(event: str, batch_id: str, **fields: object) -> None:
    logger.info(event, extra={"fields": {"batch": label(batch_id), **fields}})


def _warn_failed(batch_id: str, error: Exception) -> None:
    fields = {"batch": label(batch_id), "error": cause(error)}
    logger.warning("batch_processing_failed", extra={"fields": fields})
