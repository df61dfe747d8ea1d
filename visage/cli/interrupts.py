"""Ctrl-C: what is finished, how to go on, and the exit status 130."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

# 128 and the number of SIGINT, as shells have it.
_STATUS = 130

# How to go on after `visage anonymize` and `visage enhance`.
COPIES_CONTINUE = "Run the same command again to continue: it skips the copies that exist."

_FINISHING = b"\nFinishing the files in work. Press Ctrl-C again to stop at once.\n"


class Interrupted(click.ClickException):
    """The user stopped the command. The message says how to go on."""

    exit_code = _STATUS

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message without the word error."""
        click.echo(f"Stopped. {self.message}".rstrip(), file=file, err=True)


@contextmanager
def interrupts_explained(how_to_go_on: str) -> Iterator[None]:
    """Turn an interrupt into a sentence and the status 130."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(how_to_go_on) from None


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed meanwhile. A second one raises KeyboardInterrupt at once.

    Without this, Python raises it between any two bytecodes, and can leave a lock of the thread pool held. A process
    that ignores SIGINT continues to ignore it.
    """
    interrupted = False
    previous = signal.getsignal(signal.SIGINT)

    def defer(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, previous)
        # A signal handler must not wait for the lock of a stream.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _FINISHING)

    def is_interrupted() -> bool:
        return interrupted

    if previous is not signal.default_int_handler:
        yield is_interrupted
        return
    signal.signal(signal.SIGINT, defer)
    try:
        yield is_interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
