"""The arguments and options that several commands share."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from visage.cli.streams import STREAM, file_path
from visage.faces.search import Detail
from visage.ranges import CONFIDENCE_RANGE, IntegerRange, NumberRange

Command = TypeVar("Command", bound=Callable[..., Any])


class FilePath(click.Path):
    """A path, or `-` for standard input or output. An empty text, which Path takes for the current directory, is none.

    click must not reject an unreadable photo: it fails alone, and the other files are processed.
    """

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not os.fspath(value):
            self.fail("An empty path names no file and no directory. Is a variable of the shell empty?", param, ctx)
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        return path if os.fspath(value) == str(STREAM) else file_path(path)


class Number(click.FloatRange):
    """Numbers from `min` to `max`, without NaN and infinity. click accepts NaN in every range.

    No face reaches a confidence threshold of NaN.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def number_in(accepted: NumberRange) -> Number:
    """The type of an option whose values are those of a range."""
    return Number(accepted.minimum, accepted.maximum)


def integer_in(accepted: IntegerRange) -> click.IntRange:
    """The type of an option whose values are those of a range of whole numbers."""
    return click.IntRange(accepted.minimum, accepted.maximum)


paths = click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=FilePath(),
    metavar="PATH...",
)

output = click.option(
    "-o",
    "--output",
    required=True,
    type=FilePath(file_okay=False),
    help="Write the copies to this directory.",
)

again = click.option("--again", is_flag=True, help="Replace existing copies.")

json_lines = click.option("--json", "json_lines", is_flag=True, help="Print one line of JSON per file.")

csv_rows = click.option("--csv", "csv_rows", is_flag=True, help="Print a table, one row per face.")

min_confidence = click.option(
    "--min-confidence", type=number_in(CONFIDENCE_RANGE), help="Confidence threshold of the detector."
)

jobs = click.option("--jobs", type=click.IntRange(1, 64), help="Photos to process at once. [default: number of cores]")


def detail(default: Detail) -> Callable[[Command], Command]:
    """The option `--detail`: how closely to search for small faces."""
    return click.option(
        "--detail", type=click.Choice([each.value for each in Detail]), default=default.value, show_default=True
    )
