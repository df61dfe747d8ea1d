"""The group of the commands. An interrupt, and a full disk for standard output, end each with one sentence."""

import os
import sys
from collections import UserDict
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from visage.cli.console import is_disk_full
from visage.cli.interrupts import interrupts_explained


class ImportedCommands(UserDict[str, Any]):
    """Commands by name, given as texts such as `package.module:function` and imported when they are looked up.

    The import of OpenCV takes most of a command's first second. In `Commands.invoke`, Ctrl-C has its status then too.
    """

    def __getitem__(self, name: str) -> click.Command:
        module, function = super().__getitem__(name).split(":")
        command: click.Command = getattr(import_module(module), function)
        return command


class Commands(click.Group):
    """A group whose commands end with a sentence and a status when they are interrupted or cannot print."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program. The status is 1 if standard output cannot be written."""
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            # Errors of paths have a file name, those of streams have none.
            if not is_disk_full(error) or error.filename is not None:
                raise
            _discard_output()
            click.echo(f"Error: Standard output cannot be written: {error.strerror}.", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. The status is 130 if it is interrupted."""
        with interrupts_explained(""):
            return super().invoke(ctx)


def _discard_output() -> None:
    """Connect standard output to nothing, so that Python does not fail again when it writes the rest at exit."""
    # Standard output has no descriptor where a program replaced it.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
