"""The service with a leak, for gunicorn: `LEAK` names which. What finds leaks must find these."""

import os
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from app import app

BYTES = 10_000

# Files and threads are leaked by one request out of so many.
EVERY = 50

_kept: list[object] = []
_requests = count(1)


def _keep_memory() -> None:
    _kept.append(bytearray(os.urandom(BYTES)))


def _keep_a_file_open() -> None:
    if next(_requests) % EVERY == 0:
        _kept.append(Path(os.devnull).open())  # noqa: SIM115


def _keep_a_thread_waiting() -> None:
    if next(_requests) % EVERY == 0:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


_LEAKS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "memory": _keep_memory,
    "files": _keep_a_file_open,
    "threads": _keep_a_thread_waiting,
}

app.before_request(_LEAKS[os.environ["LEAK"]])
