"""The master process: the metrics directory, the connection limit and gunicorn's logger."""

import atexit
import os
import resource
import secrets
import shutil
import signal
import tempfile
from pathlib import Path

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# The directory for files in memory, or None if the system has none.
SHARED_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108

# gunicorn's default for `worker_connections`.
_DEFAULT_CONNECTIONS = 1000

# File descriptors that a worker needs for anything but connections.
_OTHER_FILES = 100


def set_up_metrics_directory() -> None:
    """Create the directory for metrics, or reuse the existing one: a reload runs the configuration again."""
    if _METRICS_VARIABLE in os.environ:
        Path(os.environ[_METRICS_VARIABLE]).mkdir(parents=True, exist_ok=True)
    else:
        _create_metrics_directory()


def max_connections() -> int:
    """How many connections a worker accepts at the same time: at most 1000, as many as it may open files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _DEFAULT_CONNECTIONS
    return max(50, min(_DEFAULT_CONNECTIONS, files - _OTHER_FILES))


class ErrorLogger(Logger):  # type: ignore[misc]
    """gunicorn's logger without an access log, because Visage logs requests itself."""

    def access(self, *_arguments: object) -> None:
        """Do nothing."""


def _create_metrics_directory() -> None:
    """Create the directory where workers store their metrics for `/metrics`. It is removed when this process ends.

    It is in memory unless TMPDIR is set, so that it works with a full disk.
    """
    parent = os.environ.get("TMPDIR") or SHARED_MEMORY or tempfile.gettempdir()
    directory = Path(parent) / f"visage-metrics-{secrets.token_hex(8)}"
    owner = os.getpid()

    def remove() -> None:
        # Forked workers inherit the exit handler, but end before the master.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)

    def stop(number: int, _frame: object) -> None:
        # Python ignores exceptions in some places, such as finalizers, so an exception might not end the process.
        remove()
        os._exit(128 + number)

    # gunicorn installs its own handlers later.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    atexit.register(remove)
    directory.mkdir(mode=0o700)
    os.environ[_METRICS_VARIABLE] = str(directory)
