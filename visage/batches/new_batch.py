"""A batch as it comes in."""

from visage.analyzer import Options
from visage.batches.batch import Batch, Entry, Failure, batch_as_bytes, new_id
from visage.batches.queue import Queue
from visage.batches.store import Store, description_key, input_key
from visage.errors import VisageError
from visage.guard import GuardOptions


class NewBatch:
    """A batch that is coming in, file by file. Left without `submit` (as a `with` block is), nothing of it is kept."""

    def __init__(self, store: Store, queue: Queue, options: Options | GuardOptions, created: float) -> None:
        self.id = new_id()
        self._store = store
        self._queue = queue
        self._batch = Batch(self.id, options, created, ())
        self._entries: list[Entry] = []
        self._submitted = False
        store.make(self.id)
        # From now on it expires, whatever becomes of this process.
        self._write()

    def __enter__(self) -> "NewBatch":
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._submitted:
            self.abandon()

    def add(self, name: str, content: bytes) -> None:
        """Add a file by the name that its client gave it.

        Raises:
            StorageFull: there is no room left for it.
        """
        self._store.write(input_key(self.id, len(self._entries) + 1), content)
        self._entries.append(Entry(name))

    def add_failed(self, name: str, error: VisageError) -> None:
        """Add a file that was refused already, so that it has its place among the results."""
        self._entries.append(Entry(name, Failure.of(error)))

    def submit(self) -> str:
        """Hand the batch in, with one file at least; its id comes back."""
        if not self._entries:
            raise ValueError("A batch has at least one file.")
        self._write()
        self._queue.ask(self.id)
        self._submitted = True
        return self.id

    def abandon(self) -> None:
        """Delete all that has come."""
        self._store.remove_all(self.id)

    def _write(self) -> None:
        batch = Batch(self.id, self._batch.options, self._batch.created, tuple(self._entries))
        self._store.write(description_key(self.id), batch_as_bytes(batch))
