"""What the commands share: errors in one sentence, lines beside a progress bar, and the bar."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from visage.errors import DISK_FULL_ERRNOS, SetupError, VisageError


class CannotRun(click.ClickException):
    """The command cannot run as it was given."""

    exit_code = 2


class DiskFull(click.ClickException):
    """A copy found no room in the directory `output`, and neither would the next."""

    def __init__(self, output: Path) -> None:
        super().__init__(f"The disk of {output} is full. Make room and run the same command: it goes on here.")


def is_full(error: BaseException) -> bool:
    """Whether a copy failed because there is no room, or none that is left to this user."""
    return isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS


@contextmanager
def one_sentence() -> Iterator[None]:
    """Tell a setup that cannot work in one sentence, with exit status 2."""
    try:
        yield
    except SetupError as error:
        raise CannotRun(str(error)) from None


@contextmanager
def interrupts_held_back() -> Iterator[Callable[[], None]]:
    """Yield what raises the KeyboardInterrupt that came meanwhile, if one came; a second one is raised at once.

    Python raises it between any two steps, those in which threads wait for each other among them, which it breaks. Who
    ignores interrupts still does.
    """
    came = False
    before = signal.getsignal(signal.SIGINT)

    def hold_back(*_: object) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, before)

    def raise_it() -> None:
        if came:
            raise KeyboardInterrupt

    if before is not signal.default_int_handler:
        yield raise_it
        return
    signal.signal(signal.SIGINT, hold_back)
    try:
        yield raise_it
    finally:
        signal.signal(signal.SIGINT, before)


def explained(error: BaseException) -> tuple[str, str]:
    """A sentence for a photo that failed, and the code that programs may rely on."""
    if isinstance(error, VisageError):
        return str(error), error.code
    if isinstance(error, OSError):
        return f"cannot be read or written: {error.strerror}", "file_error"
    return f"failed for a reason that was not foreseen ({type(error).__name__}).", VisageError.code


def count(number: int, thing: str) -> str:
    """So many things in words, such as `no faces`, `1 face` or `2 faces`."""
    return f"1 {thing}" if number == 1 else f"{number or 'no'} {thing}s"


def say(line: str, error: bool = False) -> None:
    """Print a line above the progress bar, if there is one."""
    stream = sys.stderr if error else sys.stdout
    # The name of a file may be bytes that are no text, or letters that this terminal has not.
    encoding = stream.encoding or "utf-8"
    tqdm.write(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)


def bar(**arguments: Any) -> "tqdm[Any]":
    """A progress bar on standard error, shown only where that is a terminal."""
    hidden = arguments.pop("disable", False) or not sys.stderr.isatty()
    return tqdm(disable=hidden, dynamic_ncols=True, **arguments)
