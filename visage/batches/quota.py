"""The bytes that all kept batches may take together, and what each batch has reserved of them.

A reservation is a counter in the queue, so that all processes and machines see the same ones, and only one of them can
get the last bytes. A batch reserves the most that it may need before it is accepted. When it is done, its reservation
shrinks to what is kept; when it is deleted, nothing is left of it.

A second counter has the bytes of a batch that are in the store already. Without a limit that is set, these and the free
bytes are what all batches may share.
"""

from collections.abc import Callable
from dataclasses import dataclass

from visage.batches.batch import Task
from visage.batches.queue import Queue
from visage.errors import StorageFull

# The groups of counters that have the reservations, and the bytes of them that are stored, by ID of the batch.
_RESERVED, _STORED = "bytes", "stored"

# Without a setting, batches may take one in so many of the bytes that are free on the disk or that they take already.
_FREE_PER_KEPT = 2

# What a file takes besides its content: up to a block of the file system (4 KiB in ext4 and XFS, mkfs(8)), which also
# has room for its lines in the lists of files and results, and for the analysis of a photo with some faces.
FILE_BYTES = 4096

# Most bytes of a photo and its result, in those of the photo. An analysis fits in FILE_BYTES. An anonymized photo is
# encoded again, perhaps with a better quality. An enhanced image has nine times the pixels, and exists beside its photo
# for a moment.
_BYTES_PER_INPUT_BYTE = {Task.PREDICT: 1, Task.ANONYMIZE: 2, Task.ENHANCE: 10}


@dataclass(frozen=True)
class Room:
    """The bytes that are `reserved`, and the `limit` for them; None is no limit."""

    limit: int | None
    reserved: int

    @property
    def left(self) -> int | None:
        """The bytes that can be reserved, at least 0; None is no limit."""
        return None if self.limit is None else max(0, self.limit - self.reserved)


class Quota:
    """The reservations of all batches; all methods raise the errors of `Queue`."""

    def __init__(self, queue: Queue, limit: int | None, free_bytes: Callable[[], int | None]) -> None:
        """`limit` is in bytes; without one, it follows from `free_bytes()`, the free bytes of the store if known."""
        self._queue = queue
        self._limit = limit
        self._free_bytes = free_bytes

    def room(self) -> Room:
        """Return how much of the quota is reserved."""
        reserved = self.reservations()
        return Room(self._limit_beside(reserved), sum(reserved.values()))

    def reservations(self) -> dict[str, int]:
        """Return the bytes that each batch has reserved, by ID."""
        return self._queue.group(_RESERVED)

    def ids(self) -> set[str]:
        """Return the IDs of all batches that have a counter here."""
        return self.reservations().keys() | self._queue.group(_STORED).keys()

    def reserve(self, batch_id: str, amount: int) -> None:
        """Add `amount` bytes to the reservation of a batch; a negative amount reduces it.

        Raises:
            StorageFull: all batches together would exceed the limit. Nothing is reserved.
        """
        reserved = self.reservations()
        limit = self._limit_beside(reserved)
        if not self._queue.add_within(_RESERVED, batch_id, amount, limit):
            own = reserved.pop(batch_id, 0)
            raise StorageFull(_sentence(own + amount, (limit or 0) - sum(reserved.values())))

    def add_stored(self, batch_id: str, amount: int) -> None:
        """Note that a batch takes `amount` bytes more in the store; a negative amount are fewer."""
        self._queue.add_within(_STORED, batch_id, amount, None)

    def restore(self, batch_id: str, amount: int, stored: int) -> None:
        """Set the reservation of a batch that has none, because the queue lost its data or the batch is older.

        `stored` are the bytes of the batch that are in the store.
        """
        self._queue.set_in_group(_STORED, batch_id, stored)
        self._queue.set_in_group(_RESERVED, batch_id, amount, only_if_absent=True)

    def settle(self, batch_id: str, amount: int) -> None:
        """Set the reservation of a batch that has ended to the bytes that are kept of it."""
        self._queue.set_in_group(_STORED, batch_id, amount)
        self._queue.set_in_group(_RESERVED, batch_id, amount)

    def release(self, batch_id: str) -> None:
        """Delete the reservation of a batch, if it exists."""
        self._queue.delete_from_group(_STORED, batch_id)
        self._queue.delete_from_group(_RESERVED, batch_id)

    def _limit_beside(self, reserved: dict[str, int]) -> int | None:
        if self._limit is not None:
            return self._limit
        free = self._free_bytes()
        if free is None:
            return None
        stored = self._queue.group(_STORED)
        # Reserved bytes that are not stored are free, so they are in `free`. A process that died may have left a count
        # that is too high.
        taken = sum(min(amount, stored.get(batch_id, 0)) for batch_id, amount in reserved.items())
        return (free + taken) // _FREE_PER_KEPT


def most_bytes(task: Task, files: int, input_bytes: int) -> int:
    """Return the most bytes that `files` photos of `input_bytes` together usually take with their results."""
    return files * FILE_BYTES + _BYTES_PER_INPUT_BYTE[task] * input_bytes


def _sentence(needed: int, left: int) -> str:
    megabyte = 10**6
    at_least, at_most = -(-needed // megabyte), max(0, left // megabyte)
    return (
        f"The batch may need {at_least:,} MB, and the storage for batches has {at_most:,} MB left; delete batches that "
        "you no longer need, send fewer photos, or try again later."
    )
