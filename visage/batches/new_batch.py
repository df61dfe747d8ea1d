"""A batch while its files arrive."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from visage.anonymize.face_boxes import FACES_FILE, FaceBoxes
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import Batch, BatchOptions, Entry, Task, batch_to_json, label, new_id, task_of
from visage.batches.file_names import safe_names
from visage.batches.queue import Queue
from visage.batches.quota import Quota, most_bytes
from visage.batches.results import Failure
from visage.batches.store import Store, description_key, input_key
from visage.errors import BadParameter, BatchError, StorageFull, VisageError
from visage.faces.analyzer import AnalyzeOptions
from visage.logs import cause, logger

# Bytes that are reserved ahead while files arrive, so that not every file needs a transaction. `submit` returns them.
_STEP_BYTES = 2**24


class NewBatch:
    """A batch whose files arrive one by one; use it in a `with` block.

    If the block ends without `submit`, the files are deleted. What cannot be deleted then is deleted when the batch
    expires.
    """

    def __init__(
        self, store: Store, queue: Queue, quota: Quota, created: float, *, task: Task, expected_bytes: int
    ) -> None:
        """Make room in the store; `created` is in UTC seconds.

        `task` and `expected_bytes`, of all photos together, are what is known already. More is reserved as files come.

        Raises:
            StorageFull: the quota or the store has no room.
        """
        self.id = new_id()
        self._store = store
        self._queue = queue
        self._quota = quota
        self._created = created
        self._task = task
        self._entries: list[Entry] = []
        self._input_bytes = 0
        self._reserved = 0
        # Bytes in the store that the quota does not know of yet.
        self._unnoted = 0
        self._submitted = False
        self._reserve(most_bytes(task, 0, expected_bytes))
        try:
            store.make(self.id)
            # With this description the batch expires even if this process dies; without files no client finds it.
            self._write(Batch(self.id, AnalyzeOptions(), created, ()))
        except BatchError:
            self._delete()
            raise

    def __enter__(self) -> "NewBatch":
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._submitted:
            self._delete()

    @property
    def files(self) -> int:
        """The number of files added so far."""
        return len(self._entries)

    def add(self, name: str, content: bytes) -> None:
        """Add a file under the name that the client gave it; `submit` makes the names safe and unique.

        Raises:
            StorageFull: the quota or the store has no room for the file.
            BatchesUnavailable: store or queue cannot be reached.
        """
        self._input_bytes += len(content)
        self._reserve_at_least(self._most_bytes(self._task, self.files + 1))
        self._store.write(input_key(self.id, len(self._entries) + 1), content)
        self._unnoted += len(content)
        self._entries.append(Entry(name))

    def add_failed(self, name: str, error: VisageError) -> None:
        """Add a file that was rejected, so that the results list it; it raises the errors of `add`."""
        self._reserve_at_least(self._most_bytes(self._task, self.files + 1))
        self._entries.append(Entry(name, Failure.of(error)))

    def submit(self, options: BatchOptions, boxes: Mapping[int, FaceBoxes] | None = None, source: str = "") -> Batch:
        """Enqueue the batch and return it. `boxes` are those that a person chose, by the number (from 1) of the file.

        `source` is the name of the folder or ZIP that the files came from, empty without one.

        Raises:
            ValueError: no file was added.
            BadParameter: there are boxes, and the task hides no faces.
            StorageFull, BatchesUnavailable: store or queue cannot be used.
        """
        if not self._entries:
            raise ValueError("A batch has at least one file.")
        boxes = boxes or {}
        if boxes and not isinstance(options, AnonymizeOptions):
            raise BadParameter(f"{FACES_FILE} applies to the task anonymize only; leave it out.")
        self._reserve(self._most_bytes(task_of(options), self.files))
        names = safe_names(entry.name for entry in self._entries)
        entries = (
            replace(entry, name=name, boxes=boxes.get(number, entry.boxes))
            for number, (entry, name) in enumerate(zip(self._entries, names, strict=True), 1)
        )
        safe_source = PurePosixPath(next(safe_names([source]))).name if source else ""
        batch = Batch(self.id, options, self._created, tuple(entries), safe_source)
        self._write(batch)
        self._queue.enqueue(self.id)
        self._submitted = True
        return batch

    def _most_bytes(self, task: Task, files: int) -> int:
        return most_bytes(task, files, self._input_bytes)

    def _reserve_at_least(self, amount: int) -> None:
        if amount > self._reserved:
            try:
                self._reserve(amount + _STEP_BYTES)
            except StorageFull:
                self._reserve(amount)

    def _reserve(self, amount: int) -> None:
        self._quota.reserve(self.id, amount - self._reserved)
        self._reserved = amount
        if self._unnoted:
            self._quota.add_stored(self.id, self._unnoted)
            self._unnoted = 0

    def _delete(self) -> None:
        try:
            self._store.remove_all(self.id)
            self._quota.release(self.id)
        except BatchError as error:
            # Not raised: the client must get the error that ended the batch.
            fields = {"batch": label(self.id), "error": cause(error)}
            logger.warning("batch_deletion_failed", extra={"fields": fields})

    def _write(self, batch: Batch) -> None:
        self._store.write(description_key(self.id), batch_to_json(batch))
