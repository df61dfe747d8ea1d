"""`-` in place of a path: a photo from standard input, and its copy to standard output."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from visage.cli.console import CannotRun, print_failure
from visage.cli.files import read_photo, read_stream
from visage.errors import VisageError

# As a path it stands for standard input, and as an output for standard output. No file has this path: see `file_path`.
STREAM = Path("-")


def file_path(path: Path) -> Path:
    """Return the path of a file or a directory in a form that is not `STREAM`. Path drops the dot of `./-`."""
    return path.absolute() if path == STREAM else path


def read_source(path: Path, max_pixels: int) -> bytes:
    """Return the bytes of a photo, from standard input for `-`. The path may also be that of a pipe.

    Raises:
        UnsupportedType: its type is not accepted.
        ImageTooLarge: it is larger than an image of `max_pixels` can be.
        OSError: it cannot be read.
    """
    if path == STREAM:
        return read_stream(sys.stdin.buffer, max_pixels)
    if path.is_file():
        return read_photo(path, max_pixels)
    with path.open("rb") as pipe:
        return read_stream(pipe, max_pixels)


def write_stream(picture: bytes) -> None:
    """Write a picture, and nothing else, to standard output."""
    sys.stdout.buffer.write(picture)
    sys.stdout.buffer.flush()


@contextmanager
def stream_errors_reported(path: Path) -> Iterator[None]:
    """Report a photo that fails as one sentence, and exit with status 1."""
    try:
        yield
    except (VisageError, OSError) as error:
        print_failure(str(path), error, json_lines=False)
        sys.exit(1)


def is_streamed(paths: Sequence[Path], output: Path | None, *, tables: bool) -> bool:
    """Whether a command writes one picture to standard output. `tables` tells whether it prints other lines there.

    Raises:
        CannotRun: standard output would have several pictures, or lines beside one.
    """
    if output != STREAM:
        if output is not None and STREAM in paths:
            raise CannotRun("A photo from standard input has no name: write it to standard output with -o -.")
        return False
    if len(paths) != 1 or paths[0].is_dir():
        raise CannotRun("Standard output takes one picture: name one photo, or a directory with -o.")
    if tables:
        raise CannotRun("Standard output takes the picture or lines: leave out --json and --csv, or name a directory.")
    return True
