"""Files without a name, for what is too large for memory: gone once closed, and whenever the process ends."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from visage.errors import NO_ROOM, BatchesUnavailable, StorageFull
from visage.settings import Settings


def open_spool(settings: Settings) -> BinaryIO:
    """A file in the state directory; BatchesUnavailable where none can be had."""
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=settings.state_dir)
    except OSError as error:
        raise BatchesUnavailable("Batches cannot be taken in now; try again later.") from error


@contextmanager
def told_when_full() -> Iterator[None]:
    """Raise StorageFull where a file takes no more, and BatchesUnavailable where it fails otherwise."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull from error
        raise BatchesUnavailable("Batches cannot be taken in now; try again later.") from error
