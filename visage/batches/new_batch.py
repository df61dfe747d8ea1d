"""A batch as it comes in."""

from dataclasses import replace

from visage.batches.batch import Batch, BatchOptions, Entry, Failure, batch_as_bytes, label, new_id
from visage.batches.file_names import safe_names
from visage.batches.queue import Queue
from visage.batches.store import Store, description_key, input_key
from visage.errors import BatchError, VisageError
from visage.faces.analyzer import Options
from visage.logs import cause, logger


class NewBatch:
    """A batch that is coming in, file by file.

    Left without `submit` (as a `with` block is), nothing of it is kept; what cannot be deleted then expires.
    """

    def __init__(self, store: Store, queue: Queue, created: float) -> None:
        self.id = new_id()
        self._store = store
        self._queue = queue
        self._created = created
        self._entries: list[Entry] = []
        self._submitted = False
        store.make(self.id)
        # From now on it expires, whatever becomes of this process; without files it is none that anybody finds.
        self._write(Batch(self.id, Options(), created, ()))

    def __enter__(self) -> "NewBatch":
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._submitted:
            try:
                self.abandon()
            except BatchError as error:
                # It expires; what went wrong before is what the client is told.
                fields = {"batch": label(self.id), "error": cause(error)}
                logger.warning("batch_deletion_failed", extra={"fields": fields})

    @property
    def files(self) -> int:
        """How many have been added."""
        return len(self._entries)

    def add(self, name: str, content: bytes) -> None:
        """Add a file by the name that its client gave it; `submit` makes of all names safe ones, each only once.

        Raises:
            StorageFull: there is no room left for it.
        """
        self._store.write(input_key(self.id, len(self._entries) + 1), content)
        self._entries.append(Entry(name))

    def add_failed(self, name: str, error: VisageError) -> None:
        """Add a file that was refused already, so that it has its place among the results."""
        self._entries.append(Entry(name, Failure.of(error)))

    def submit(self, options: BatchOptions) -> Batch:
        """Hand the batch in, with one file at least."""
        if not self._entries:
            raise ValueError("A batch has at least one file.")
        names = safe_names(entry.name for entry in self._entries)
        entries = (replace(entry, name=name) for entry, name in zip(self._entries, names, strict=True))
        batch = Batch(self.id, options, self._created, tuple(entries))
        self._write(batch)
        self._queue.ask(self.id)
        self._submitted = True
        return batch

    def abandon(self) -> None:
        """Delete all that has come."""
        self._store.remove_all(self.id)

    def _write(self, batch: Batch) -> None:
        self._store.write(description_key(self.id), batch_as_bytes(batch))
