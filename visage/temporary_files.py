"""Unnamed files for uploads that are too large for memory. The kernel deletes them when they are closed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from visage.errors import DISK_FULL_ERRNOS, BatchesUnavailable, StorageFull
from visage.settings import Settings

_UNAVAILABLE = "Batches cannot be stored now; try again later."


def open_temporary_file(settings: Settings) -> BinaryIO:
    """Open an unnamed file in the state directory, for reading and writing.

    Raises:
        BatchesUnavailable: the directory or the file cannot be created.
    """
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=settings.state_dir)
    except OSError as error:
        raise BatchesUnavailable(_UNAVAILABLE) from error


@contextmanager
def storage_errors() -> Iterator[None]:
    """Convert every OSError of the block.

    Raises:
        StorageFull: the disk or the quota is full.
        BatchesUnavailable: the file cannot be written for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise StorageFull from error
        raise BatchesUnavailable(_UNAVAILABLE) from error
