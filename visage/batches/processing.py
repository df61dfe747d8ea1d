"""What a worker does when a batch's turn has come: one file, from its claim to its result."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress

from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches
from visage.batches.batch import Batch, Done, End, Failure, Result, label
from visage.batches.enhancing import Claim, Enlarging, GivenUp
from visage.batches.leases import Life
from visage.batches.queue import MOST_ATTEMPTS
from visage.batches.store import input_key, output_key
from visage.enhance.results import EnhanceOptions
from visage.errors import BatchError, BatchesUnavailable, BatchNotFound, RequestError, StorageFull, VisageError
from visage.faces.analyzer import Options
from visage.logs import cause, logger
from visage.runtime.engine import RECYCLE_AFTER_PHOTOS, Engine

LOST = Failure("The photo was lost here before it was worked on; send it again.", "file_lost")
UNFORESEEN = Failure("The photo failed for a reason that was not foreseen.", VisageError.code)
FATAL = Failure("The photo was begun several times and never came to an end; it is left out.", "file_fatal")

# After a failure of store or queue, so that a short one does not use up every file's attempts.
PAUSE_SECONDS = 1.0


class Work:
    """The work on batches, for as many threads as the engine has slots."""

    def __init__(self, batches: Batches, life: Life, engine: Callable[[], Engine]) -> None:
        """`engine` is asked for when there is something to do; the first time, it may take seconds to come."""
        self._batches = batches
        self._queue = batches.queue
        self._store = batches.store
        self._life = life
        self._engine = engine
        # What was begun before and has no result may have killed whoever began it. One at a time, so that of those
        # which a process had in hand when it died only the guilty one is in hand every time.
        self._suspects = threading.Lock()
        self._finishing = threading.Lock()
        self._enlarging = Enlarging(batches.queue)
        # Batch and number of what this process works on now. What it claimed otherwise, it lost: the queue went away.
        self._in_hand: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._photos = itertools.count()
        # Told each result that is noted.
        self.watcher: Callable[[Result], None] = lambda _result: None
        # Whether this process has worked on so much that another should go on.
        self.worn_out = False

    def turn(self, batch_id: str) -> None:
        """Work on one file of a batch; on none if it has ended or all are done or in hand. Nothing is raised."""
        try:
            self._queue.taken_out(batch_id)
            batch = self._batches.find(batch_id)
            with self._enlarging.turn_of(batch) as free:
                if free and not self._queue.ended(batch_id) and self._work_on(batch):
                    # Whoever is the last to have a result must see that all have one.
                    self._queue.ask(batch_id)
        except (BatchNotFound, FileNotFoundError):
            return  # it was deleted, before or meanwhile
        except StorageFull as error:
            self._fail(batch_id, str(error))
        except Exception as error:
            logger.warning("batch_turn_failed", extra={"fields": {"batch": label(batch_id), "error": cause(error)}})
            time.sleep(PAUSE_SECONDS)

    def stop(self) -> None:
        """Give up what takes long; what else is in hand is finished."""
        self._enlarging.stop()

    def _work_on(self, batch: Batch) -> bool:
        """Work on a fresh file, or else on one that somebody left; whether there was any."""
        # If it cannot be had, no file was begun.
        self._engine()
        numbers = batch.accepted
        handed_out, _, _ = self._queue.counts(batch.id)
        # Before a place is taken, because the store may not be there to be asked.
        if not handed_out and self._batches.recall(batch):
            return False
        place = self._queue.next_place(batch.id)
        if place >= len(numbers):
            return self._work_on_rest(batch)
        # Others may go on with the next file meanwhile.
        self._queue.ask(batch.id)
        self._try(batch, numbers[place], 1)
        return True

    def _work_on_rest(self, batch: Batch) -> bool:
        """Take over a file whose worker is dead; if every file has its result, finish the batch."""
        results = self._batches.results(batch)
        missing = [number for number in batch.accepted if number not in results]
        if not missing:
            self._finish(batch, results)
        for number in missing:
            attempts, owner = self._queue.last_claim(batch.id, number)
            if attempts and self._is_held(batch.id, number, owner):
                continue
            if attempts == MOST_ATTEMPTS:
                self._record(batch, number, FATAL, attempts)
                return True
            with self._suspects if attempts else nullcontext():
                if self._try(batch, number, attempts + 1):
                    return True
        return False

    def _finish(self, batch: Batch, results: dict[int, Result]) -> None:
        with self._finishing:
            if self._queue.ended(batch.id):
                return
            _log_end(batch.id, self._batches.finish(batch, results))
            if self._is_deleted(batch.id):
                self._forget(batch.id, [])

    def _is_held(self, batch_id: str, number: int, owner: str) -> bool:
        if owner == self._life.owner:
            return (batch_id, number) in self._in_hand
        return self._life.lives(owner)

    def _try(self, batch: Batch, number: int, attempt: int) -> bool:
        """Claim a file and give it its result; False where it has one or somebody is at it."""
        file = batch.id, number
        with self._lock:
            if file in self._in_hand:
                return False
            self._in_hand.add(file)
        try:
            claimed = self._claim(batch.id, number, attempt)
            if claimed:
                self._work_on_file(batch, number, attempt)
        finally:
            self._in_hand.discard(file)
        return claimed

    def _claim(self, batch_id: str, number: int, attempt: int) -> bool:
        if not self._queue.claim(batch_id, number, attempt, self._life.owner):
            return False
        # Claims go with the result, or with the end: what was free may be free because it is done.
        if self._queue.has_result(batch_id, number) or self._queue.ended(batch_id):
            self._queue.unclaim(batch_id, number, attempt)
            return False
        return True

    def _work_on_file(self, batch: Batch, number: int, attempt: int) -> None:
        """Give a file that is claimed its result."""
        try:
            self._settle(batch, number, attempt)
        except StorageFull:
            raise
        except Exception:
            with suppress(BatchError):
                self._queue.give_up(batch.id, number, attempt)
            raise

    def _settle(self, batch: Batch, number: int, attempt: int) -> None:
        started = time.perf_counter()
        engine = self._engine()
        self.worn_out = engine.leaks_memory and next(self._photos) >= RECYCLE_AFTER_PHOTOS
        key = input_key(batch.id, number)
        try:
            result = self._result(engine, batch, self._store.read(key), number, attempt)
        except FileNotFoundError:
            result = LOST
        except GivenUp:
            return
        if self._record(batch, number, result, attempt, time.perf_counter() - started):
            self._store.remove(key)
        else:
            self._store.remove(output_key(batch.id, number, attempt))

    def _result(self, engine: Engine, batch: Batch, photo: bytes, number: int, attempt: int) -> Result:
        """Work on a photo and keep what comes of it; FileNotFoundError where the batch is gone meanwhile."""
        try:
            content, faces = self._worked_on(engine, photo, batch, (batch.id, number, attempt))
        except RequestError as error:
            return Failure.of(error)
        except GivenUp:
            raise
        except Exception as error:
            logger.error("batch_file_unforeseen", exc_info=error, extra={"fields": {"batch": label(batch.id)}})
            return UNFORESEEN
        self._store.write(output_key(batch.id, number, attempt), content)
        return Done(faces, attempt)

    def _worked_on(self, engine: Engine, photo: bytes, batch: Batch, claim: Claim) -> tuple[bytes, int | None]:
        """The picture or the JSON that comes of a photo, and how many faces it has, if they were looked for."""
        match batch.options:
            case AnonymizeOptions() as options:
                anonymized = engine.anonymize(photo, options)
                return anonymized.picture, len(anonymized.faces)
            case Options() as options:
                analysis = engine.analyze(photo, options, annotated=False)
                return json.dumps(analysis.as_json(engine.pack)).encode(), len(analysis.faces)
            case EnhanceOptions():
                return self._enlarging.enlarge(engine, photo, claim), None

    def _record(self, batch: Batch, number: int, result: Result, attempt: int, seconds: float = 0.0) -> bool:
        """Note a result if it is the first; whether it is."""
        if self._queue.ended(batch.id) or not self._queue.record(batch.id, number, result):
            return False
        if self._is_deleted(batch.id):
            self._forget(batch.id, [number])
            return False
        self.watcher(result)
        self._queue.count(batch.id, "done" if isinstance(result, Done) else "failed")
        outcome = {"faces": result.faces} if isinstance(result, Done) else {"code": result.code}
        _log("batch_file", batch.id, file=number, attempt=attempt, milliseconds=round(seconds * 1000, 1), **outcome)
        return True

    def _is_deleted(self, batch_id: str) -> bool:
        """Whether a batch was deleted meanwhile, as far as can be found out: what is noted of any other counts."""
        try:
            return not self._batches.exists(batch_id)
        except BatchesUnavailable:
            return False

    def _forget(self, batch_id: str, numbers: Sequence[int]) -> None:
        """Forget what was noted of a batch that was deleted meanwhile; its files are for who deletes it."""
        self._queue.forget_files(batch_id, numbers)
        self._queue.forget(batch_id)

    def _fail(self, batch_id: str, reason: str) -> None:
        try:
            _log_end(batch_id, self._batches.fail(batch_id, reason))
        except Exception as error:
            logger.warning("batch_turn_failed", extra={"fields": {"batch": label(batch_id), "error": cause(error)}})


def _log_end(batch_id: str, end: End) -> None:
    reason = {"reason": end.reason} if end.reason else {}
    _log(f"batch_{end.state.value}", batch_id, done=end.done, failed=end.failed, **reason)


def _log(event: str, batch_id: str, **fields: object) -> None:
    logger.info(event, extra={"fields": {"batch": label(batch_id), **fields}})
