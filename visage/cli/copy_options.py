"""What every command asks for that makes copies of files."""

from pathlib import Path

import click

paths = click.argument(
    "paths",
    nargs=-1,
    required=True,
    # One that cannot be read fails alone.
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

again = click.option("--again", is_flag=True, help="Make copies anew that are there already.")

as_lines = click.option("--json", "as_lines", is_flag=True, help="Print one line of JSON a file.")
