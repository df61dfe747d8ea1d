"""The files in which each process keeps its counts, on disk space that is reserved for them.

prometheus_client maps these files into memory. Without space for a page that is written, the kernel would kill the
process (SIGBUS), for example when another program fills /dev/shm.
"""

import atexit
import errno
import mmap
import os
import secrets
import shutil
import signal
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from visage.logs import cause, logger

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# The directory for files in memory, or None if the system has none.
SHARED_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108

# The kinds of files that prometheus_client makes for our metrics, and bytes for all time series that they may have
# (tests/server/test_metrics_files.py).
_SIZES = {"counter": 2**16, "histogram": 2**17, "gauge_livesum": 2**13, "gauge_livemax": 2**13}

# Errors of file systems that cannot reserve space.
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL)

_USED = struct.Struct("i")

# A reload runs the configuration again, but does not load prometheus_client again.
_decided = False


def set_up_directory() -> None:
    """Create the directory for counts, and reserve the files of this process, the master; once.

    The directory is in memory unless TMPDIR is set, so that it works with a full disk. If no place has room, each
    worker counts for itself. The directory is removed when this process ends.
    """
    global _decided  # noqa: PLW0603
    if _decided:
        return
    _decided = True
    reason: Exception | None = None
    for parent in _parents():
        directory = Path(parent) / f"visage-metrics-{secrets.token_hex(8)}"
        remove = _removed_at_the_end(directory)
        try:
            directory.mkdir(mode=0o700)
            reserve(directory, os.getpid())
        except OSError as error:
            reason = error
            remove()
        else:
            os.environ[_VARIABLE] = str(directory)
            return
    logger.warning("metrics_disabled", extra={"fields": {"reason": cause(reason) if reason else "no directory"}})


def reserve_own() -> bool:
    """Reserve the files of this process, a worker that was just forked; return whether it may count."""
    if _VARIABLE not in os.environ:
        return True
    try:
        reserve(Path(os.environ[_VARIABLE]), os.getpid())
    except OSError as error:
        logger.warning("metrics_disabled", extra={"fields": {"reason": cause(error)}})
        return False
    return True


def reserve(directory: Path, process: int) -> None:
    """Create the files of a process, with all of their space; on an error there is none.

    Raises:
        OSError: the disk is full, or the directory cannot be written.
    """
    created: list[Path] = []
    try:
        for kind, size in _SIZES.items():
            path = directory / f"{kind}_{process}.db"
            # The file of a process that had the same ID has its counts.
            if not path.exists():
                created.append(path)
                # Under another name, because readers expect complete files.
                part = path.with_suffix(".part")
                created.append(part)
                _extend(part, size)
                part.rename(path)
            else:
                _extend(path, size)
    except OSError:
        for path in created:
            path.unlink(missing_ok=True)
        raise


def shrink(process: int) -> None:
    """Release the unused space in the files of a worker that has ended. Its counts are kept."""
    if _VARIABLE not in os.environ:
        return
    for kind in _SIZES:
        path = Path(os.environ[_VARIABLE]) / f"{kind}_{process}.db"
        with suppress(FileNotFoundError), path.open("r+b") as file:
            # The file begins with the number of bytes in use.
            (used,) = _USED.unpack(file.read(_USED.size))
            file.truncate(-(-max(used, 1) // mmap.PAGESIZE) * mmap.PAGESIZE)


def _parents() -> Iterator[str]:
    if parent := os.environ.get("TMPDIR"):
        yield parent
    if SHARED_MEMORY:
        yield SHARED_MEMORY
    # It raises if it finds no directory in which it can write.
    with suppress(FileNotFoundError):
        yield tempfile.gettempdir()


def _extend(path: Path, size: int) -> None:
    """Extend a file to `size` bytes, if it is shorter, and reserve their space."""
    with path.open("ab") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            file.write(bytes(max(0, size - file.tell())))


def _removed_at_the_end(directory: Path) -> Callable[[], None]:
    """Remove a directory when this process ends; return the function that does it."""
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
    return remove
