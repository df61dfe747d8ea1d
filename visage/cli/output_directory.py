"""The output directory: it holds copies only, and temporary files of killed runs are removed from it."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visage.cli.files import is_temporary
from visage.errors import SetupError

# An empty file that marks a directory as ours: it was empty when the first copy was written.
_MARKER = ".visage-copies"


def require_output_directory(output: Path) -> None:
    """Reject a directory that holds files of others: an original in it could be mistaken for an existing copy.

    Raises:
        SetupError: there are files, and no marker of an earlier run.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if any(output.iterdir()) and not (output / _MARKER).is_file():
            raise SetupError(f"{output} has other files; choose a new or an empty directory for the copies with -o.")


def make_output_directory(output: Path) -> None:
    """Make the directory `output` if it is missing.

    Raises:
        SetupError: it cannot be made, or is not writable.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_be_made(output, error) from None
    if not os.access(output, os.W_OK | os.X_OK):
        raise SetupError(f"{output} cannot be written to; choose another directory with -o.")


@contextmanager
def opened_output_directory(output: Path, directories: Iterable[Path]) -> Iterator[None]:
    """Make the directory `output`, and remove the temporary files of killed runs from `directories` in it.

    While another run uses the same directory, nothing is removed.

    Raises:
        SetupError: the directory cannot be made, or is not writable.
    """
    make_output_directory(output)
    try:
        descriptor = os.open(output, os.O_RDONLY)
    except OSError as error:
        raise _cannot_be_made(output, error) from None
    try:
        _mark(output)
        _remove_temporary_files(descriptor, directories)
        yield
    finally:
        os.close(descriptor)


def _mark(output: Path) -> None:
    try:
        (output / _MARKER).touch()
    except OSError as error:
        raise SetupError(
            f"{output} cannot be written to: {error.strerror}. Free some space, or choose another directory with -o."
        ) from None


def _cannot_be_made(output: Path, error: OSError) -> SetupError:
    return SetupError(f"{output} cannot be made: {error.strerror}. Choose another directory with -o.")


def _remove_temporary_files(descriptor: int, directories: Iterable[Path]) -> None:
    """Take the lock of the output directory exclusively, remove, then share it until the descriptor is closed."""
    # The kernel releases a lock when its process ends. On a file system without locks, runs are taken to be alone.
    with suppress(OSError):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return
    for directory in directories:
        with suppress(OSError):
            for entry in [each for each in os.scandir(directory) if is_temporary(each.name)]:
                Path(entry).unlink(missing_ok=True)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)
