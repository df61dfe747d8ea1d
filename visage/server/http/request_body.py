"""Bodies of requests, in memory or in a temporary file, and the budget that they share."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock
from typing import BinaryIO

from visage.temporary_files import storage_errors


@dataclass
class BufferBudget:
    """What all connections of a worker buffer now: bytes in memory, bytes on the disk, and temporary files."""

    in_memory: int = 0
    on_disk: int = 0
    files: int = 0
    lock: Lock = field(default_factory=Lock)

    def add(self, *, in_memory: int = 0, on_disk: int = 0, files: int = 0) -> None:
        """Add to the usage; negative numbers release. Any thread may call this."""
        with self.lock:
            self.in_memory += in_memory
            self.on_disk += on_disk
            self.files += files


class RequestBody:
    """A body that is arriving, or has arrived.

    Attributes:
        size: The bytes so far.
    """

    def __init__(
        self,
        budget: BufferBudget,
        check: Callable[[int, int], None] | None = None,
        file: BinaryIO | None = None,
        expected: int = 0,
    ) -> None:
        """Create an empty body.

        Args:
            budget: The usage of all connections of the worker. This body adds its own until it is closed.
            check: Called with the size and the number of bytes before these are added. It raises a VisageError if they
                are too many.
            file: Where the body is stored; None for memory. It is closed with the body.
            expected: The announced number of bytes; 0 if it is unknown.
        """
        self.size = 0
        self._budget = budget
        self._check = check
        self._file = file
        self._expected = expected
        self._content: BytesIO | None = None
        self._is_closed = False
        if file:
            budget.add(files=1)

    def write(self, data: bytes) -> None:
        """Add `data`.

        Raises:
            VisageError: the body becomes too large.
            StorageFull, BatchesUnavailable: the file cannot be written.
        """
        if self._check:
            self._check(self.size, len(data))
        if self._file:
            with storage_errors():
                self._file.write(data)
                # A full disk must fail here, while the client can still get an error.
                self._file.flush()
            self._budget.add(on_disk=len(data))
        else:
            if self._content is None:
                # The system provides the memory of these zeros when they are overwritten. A body that grows, or that is
                # joined from pieces, would be in memory twice for a moment.
                self._content = BytesIO(bytes(self._expected))
            self._content.write(data)
            self._budget.add(in_memory=len(data))
        self.size += len(data)

    def open(self) -> BinaryIO:
        """The body as a file, from its start."""
        if self._file:
            self._file.seek(0)
            return self._file
        if self._content is None:
            return BytesIO()
        self._content.truncate(self.size)
        # `getvalue` cuts off what is allocated ahead. Then `read` returns the object itself, not a copy.
        self._content = BytesIO(self._content.getvalue())
        return self._content

    def close(self) -> None:
        """Free the memory or the file. Later calls do nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._file:
            self._budget.add(on_disk=-self.size, files=-1)
            # After a failed write, closing tries to write once more, and may fail again.
            with suppress(OSError):
                self._file.close()
        else:
            self._budget.add(in_memory=-self.size)
            self._content = None
