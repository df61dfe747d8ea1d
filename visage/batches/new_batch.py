"""A batch while its files arrive."""

from dataclasses import replace

from visage.batches.batch import Batch, BatchOptions, Entry, batch_to_json, label, new_id
from visage.batches.file_names import safe_names
from visage.batches.queue import Queue
from visage.batches.results import Failure
from visage.batches.store import Store, description_key, input_key
from visage.errors import BatchError, VisageError
from visage.faces.analyzer import Options
from visage.logs import cause, logger


class NewBatch:
    """A batch whose files arrive one by one; use it in a `with` block.

    If the block ends without `submit`, the files are deleted. What cannot be deleted then is deleted when the batch
    expires.
    """

    def __init__(self, store: Store, queue: Queue, created: float) -> None:
        """Make room in the store; `created` is in UTC seconds."""
        self.id = new_id()
        self._store = store
        self._queue = queue
        self._created = created
        self._entries: list[Entry] = []
        self._submitted = False
        store.make(self.id)
        # With this description the batch expires even if this process dies; without files no client finds it.
        self._write(Batch(self.id, Options(), created, ()))

    def __enter__(self) -> "NewBatch":
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._submitted:
            try:
                self._store.remove_all(self.id)
            except BatchError as error:
                # Not raised: the client must get the error that ended the block.
                fields = {"batch": label(self.id), "error": cause(error)}
                logger.warning("batch_deletion_failed", extra={"fields": fields})

    @property
    def files(self) -> int:
        """The number of files added so far."""
        return len(self._entries)

    def add(self, name: str, content: bytes) -> None:
        """Add a file under the name that the client gave it; `submit` makes the names safe and unique.

        Raises:
            StorageFull: the store has no room for the file.
            BatchesUnavailable: the store cannot be reached.
        """
        self._store.write(input_key(self.id, len(self._entries) + 1), content)
        self._entries.append(Entry(name))

    def add_failed(self, name: str, error: VisageError) -> None:
        """Add a file that was rejected, so that the results list it."""
        self._entries.append(Entry(name, Failure.of(error)))

    def submit(self, options: BatchOptions) -> Batch:
        """Enqueue the batch and return it.

        Raises:
            ValueError: no file was added.
            StorageFull, BatchesUnavailable: store or queue cannot be used.
        """
        if not self._entries:
            raise ValueError("A batch has at least one file.")
        names = safe_names(entry.name for entry in self._entries)
        entries = (replace(entry, name=name) for entry, name in zip(self._entries, names, strict=True))
        batch = Batch(self.id, options, self._created, tuple(entries))
        self._write(batch)
        self._queue.enqueue(self.id)
        self._submitted = True
        return batch

    def _write(self, batch: Batch) -> None:
        self._store.write(description_key(self.id), batch_to_json(batch))
