"""The arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from visage.faces.search import Detail

Command = TypeVar("Command", bound=Callable[..., Any])

paths = click.argument(
    "paths",
    nargs=-1,
    required=True,
    # click must not reject an unreadable path: it fails alone, and the other files are processed.
    type=click.Path(readable=False, path_type=Path),
    metavar="PATH...",
)

output = click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the copies to this directory.",
)

again = click.option("--again", is_flag=True, help="Replace existing copies.")

json_lines = click.option("--json", "json_lines", is_flag=True, help="Print one line of JSON per file.")

csv_rows = click.option("--csv", "csv_rows", is_flag=True, help="Print a table, one row per face.")

jobs = click.option("--jobs", type=click.IntRange(1, 64), help="Photos to process at once. [default: number of cores]")


def detail(default: Detail) -> Callable[[Command], Command]:
    """The option `--detail`: how closely to search for small faces."""
    return click.option(
        "--detail", type=click.Choice([each.value for each in Detail]), default=default.value, show_default=True
    )
