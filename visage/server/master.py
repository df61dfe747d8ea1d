"""The master process: what it sets up before its first worker, and its log."""

import atexit
import os
import resource
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

_METRICS = "PROMETHEUS_MULTIPROC_DIR"

# The directory for files in memory, where there is one.
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def set_up_metrics_directory() -> None:
    """Make the directory for metrics, or keep the one that there is: a reload reads the configuration again."""
    if _METRICS in os.environ:
        Path(os.environ[_METRICS]).mkdir(parents=True, exist_ok=True)
    else:
        _make_metrics_directory()


def most_connections() -> int:
    """Clients beyond this wait outside: each takes a file, and a hundred files are needed for other things."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if files == resource.RLIM_INFINITY else max(50, min(1000, files - 100))


class ErrorLogger(Logger):  # type: ignore[misc]
    """gunicorn's own events without its line a request: Visage writes one, and to gather facts takes time."""

    def access(self, *_facts: object) -> None:
        """Nothing."""


def _make_metrics_directory() -> None:
    """Make the directory where workers leave their counts, which `/metrics` sums up; it goes when this process ends.

    In memory, unless a directory for temporary files is named: a full /tmp then harms nobody, and no disk is worn.
    """
    parent = os.environ.get("TMPDIR") or IN_MEMORY or tempfile.gettempdir()
    directory = Path(parent) / f"visage-metrics-{secrets.token_hex(8)}"
    owner = os.getpid()

    def remove() -> None:
        # Workers inherit this when they are forked, and end before their master.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)

    def end(number: int, _frame: object) -> None:
        # An exception would do, but for the places where Python ignores exceptions (a module's lock that goes, say).
        remove()
        os._exit(128 + number)

    # Until gunicorn takes these signals over, a wish to stop ends the start, whenever it comes.
    for wish in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wish, end)
    atexit.register(remove)
    directory.mkdir(mode=0o700)
    os.environ[_METRICS] = str(directory)
