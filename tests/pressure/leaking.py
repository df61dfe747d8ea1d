"""The service with an artificial leak, for gunicorn. The variable `LEAK` names its kind."""

import os
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from app import app

BYTES = 10_000

# One request in so many leaks a file or a thread.
EVERY = 50

_kept: list[object] = []
_requests = count(1)


def _leak_memory() -> None:
    _kept.append(bytearray(os.urandom(BYTES)))


def _leak_a_file() -> None:
    if next(_requests) % EVERY == 0:
        _kept.append(Path(os.devnull).open())  # noqa: SIM115


def _leak_a_thread() -> None:
    if next(_requests) % EVERY == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


_LEAKS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "memory": _leak_memory,
    "files": _leak_a_file,
    "threads": _leak_a_thread,
}

app.before_request(_LEAKS[os.environ["LEAK"]])
