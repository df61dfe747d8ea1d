"""What libraries print to standard error, as events of the log: codecs written in C do not use Python's logging."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TextIO

from visage.logs import logger

_STANDARD_ERROR = 2

# Bytes that are read at once, and characters of a line that are logged.
_CHUNK = 2**16
_MAX_CHARACTERS = 1000


class LibraryOutput:
    """A pipe in place of the standard error of one process.

    gunicorn's master makes it before it forks a worker and keeps it open, so that it can log the last words of a worker
    that crashed.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        # A library may print while it holds Python's lock, which the thread that reads needs, too. Then it loses lines
        # instead of waiting forever.
        os.set_blocking(self._writing, False)
        self._incomplete = b""

    def divert(self) -> None:
        """Log each line that is printed from now on. The log keeps the real standard error.

        Lines that cannot be written are lost, as on a full disk or when their reader has ended.
        """
        # Python would print that a line cannot be written. It would be logged, cannot be written either, and so on.
        logging.raiseExceptions = False
        self._real = os.dup(_STANDARD_ERROR)
        stream = os.fdopen(self._real, "w", encoding="ascii", errors="backslashreplace")
        for handler in _handlers():
            handler.setStream(stream)
        os.dup2(self._writing, _STANDARD_ERROR)
        self._thread = Thread(target=self._log_forever, name="library output", daemon=True)
        self._thread.start()

    @contextmanager
    def diverted(self) -> Iterator[None]:
        """Divert until the block ends; then all lines are logged, and the real standard error is in its place again."""
        self.divert()
        try:
            yield
        finally:
            os.dup2(self._real, _STANDARD_ERROR)
            # The thread ends when nobody can write any more.
            os.close(self._writing)
            self._thread.join()
            self._log(b"\n")
            os.close(self._reading)

    def close(self) -> None:
        """In the master, when the worker has ended: log what the worker could not."""
        os.set_blocking(self._reading, False)
        with suppress(BlockingIOError):
            while chunk := os.read(self._reading, _CHUNK):
                self._log(chunk)
        self._log(b"\n")
        os.close(self._reading)
        os.close(self._writing)

    def _log_forever(self) -> None:
        while chunk := os.read(self._reading, _CHUNK):
            self._log(chunk)

    def _log(self, chunk: bytes) -> None:
        *lines, self._incomplete = (self._incomplete + chunk).split(b"\n")
        for line in lines:
            if text := line.decode(errors="replace").strip():
                logger.warning("library_output", extra={"fields": {"text": text[:_MAX_CHARACTERS]}})
        # What exceeds the longest text is not logged, so a line without an end does not fill the memory.
        self._incomplete = self._incomplete[: 4 * _MAX_CHARACTERS]


def _handlers() -> "set[logging.StreamHandler[TextIO]]":
    """The handlers that write to standard error, of the root logger and of all loggers below."""
    names = logging.root.manager.loggerDict
    loggers = [logging.root, *(each for each in names.values() if isinstance(each, logging.Logger))]
    return {
        handler
        for each in loggers
        for handler in each.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    }
