"""Shared by the commands: error messages, output lines, the progress bar and deferred interrupts."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from visage.errors import DISK_FULL_ERRNOS, ImageTooLarge, SetupError, VisageError


class CannotRun(click.ClickException):
    """The command cannot run with these arguments or settings."""

    exit_code = 2


class DiskFull(click.ClickException):
    """The disk that holds the directory `output` is full, so no further copy can be written."""

    def __init__(self, output: Path) -> None:
        super().__init__(f"The disk of {output} is full. Free some space, then run the same command to continue.")


@contextmanager
def setup_errors_reported() -> Iterator[None]:
    """Report a SetupError as one sentence and exit with status 2."""
    try:
        yield
    except SetupError as error:
        raise CannotRun(str(error)) from None


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt if Ctrl-C was pressed meanwhile. A second Ctrl-C raises at once.

    Without this, Python raises KeyboardInterrupt between any two bytecodes, and can leave a lock of the thread pool
    held. A process that ignores SIGINT continues to ignore it.
    """
    interrupted = False
    previous = signal.getsignal(signal.SIGINT)

    def defer(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, previous)

    def raise_deferred() -> None:
        if interrupted:
            raise KeyboardInterrupt

    if previous is not signal.default_int_handler:
        yield raise_deferred
        return
    signal.signal(signal.SIGINT, defer)
    try:
        yield raise_deferred
    finally:
        signal.signal(signal.SIGINT, previous)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a write failed because the disk is full or this user's quota is used up."""
    return isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS


def describe_error(error: BaseException) -> tuple[str, str]:
    """A sentence for people and an error code for programs."""
    if isinstance(error, VisageError):
        return str(error), error.code
    if isinstance(error, OSError):
        return f"cannot be read or written: {error.strerror}", "file_error"
    return f"failed because of an unexpected error ({type(error).__name__}).", VisageError.code


def error_as_json(source: str, error: BaseException) -> str:
    """The JSON line of a file that failed."""
    sentence, code = describe_error(error)
    max_scale = error.max_scale if isinstance(error, ImageTooLarge) else None
    content = {"photo": source, "error": sentence, "code": code}
    return json.dumps(content if max_scale is None else content | {"max_scale": max_scale})


def print_failure(source: str, error: BaseException, *, json_lines: bool) -> None:
    """Print why a file failed on standard error, and with `json_lines` as a line of JSON on standard output too."""
    if json_lines:
        print_line(error_as_json(source, error))
    print_line(f"{source}: {describe_error(error)[0]}", to_stderr=True)


def count(number: int, noun: str) -> str:
    """A number with its noun, such as `no faces`, `1 face` or `2 faces`."""
    return f"1 {noun}" if number == 1 else f"{number or 'no'} {noun}s"


def print_line(line: str, *, to_stderr: bool = False) -> None:
    """Print a line above the progress bar, if one is shown."""
    stream = sys.stderr if to_stderr else sys.stdout
    # A file name may hold bytes that are not text, or letters that the terminal's encoding lacks.
    encoding = stream.encoding or "utf-8"
    tqdm.write(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def progress_bar(*, hidden: bool = False, **arguments: Any) -> "tqdm[Any]":
    """A tqdm bar on standard error, shown only where that is a terminal. `arguments` are tqdm's."""
    return tqdm(disable=hidden or not sys.stderr.isatty(), dynamic_ncols=True, **arguments)
