"""Shared by the commands: error messages, output lines and the progress bar."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from visage.errors import DISK_FULL_ERRNOS, ImageTooLarge, Limit, SetupError, VisageError

# The settings that limit every image.
_SETTINGS = {Limit.IMAGE_PIXELS: "VISAGE_MAX_IMAGE_PIXELS", Limit.MEMORY: "VISAGE_MAX_DECODE_BYTES"}

# The settings that limit the pixels of an image further, by command.
_PIXEL_SETTINGS = {
    "anonymize": "VISAGE_MAX_ANONYMIZE_PIXELS",
    "enhance": "VISAGE_MAX_ENHANCE_PIXELS",
}


# Characters that move the cursor, change colours or break lines on a terminal: Unicode's category Cc and its separators
# of lines and paragraphs.
_CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class CannotRun(click.ClickException):
    """The command cannot run with these arguments or settings."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(without_controls(message))


class DiskFull(click.ClickException):
    """The disk that holds the directory `output` is full, so nothing more can be written there."""

    def __init__(self, output: Path) -> None:
        super().__init__(
            without_controls(f"The disk of {output} is full. Free some space, then run the same command again.")
        )


@contextmanager
def setup_errors_reported() -> Iterator[None]:
    """Report a SetupError as one sentence and exit with status 2."""
    try:
        yield
    except SetupError as error:
        raise CannotRun(str(error)) from None


def is_disk_full(error: BaseException | None) -> bool:
    """Whether a write failed because the disk is full or this user's quota is used up."""
    return isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS


def describe_error(error: BaseException) -> tuple[str, str]:
    """A sentence for people and an error code for programs."""
    if isinstance(error, VisageError):
        return f"{error}{_setting_of(error)}", error.code
    if isinstance(error, OSError):
        return f"cannot be read or written: {error.strerror}", "file_error"
    return f"failed because of an unexpected error ({type(error).__name__}).", VisageError.code


def _setting_of(error: VisageError) -> str:
    """A sentence about the setting that changes the limit in an error; empty if there is none."""
    context = click.get_current_context(silent=True)
    if not isinstance(error, ImageTooLarge) or error.limit is None or context is None:
        return ""
    setting = _SETTINGS.get(error.limit) or _PIXEL_SETTINGS.get(context.info_name or "")
    return f" {setting} changes this limit." if setting else ""


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


def without_controls(text: str) -> str:
    r"""Return a line with escapes such as `\n` in place of control characters, which file names may hold."""
    return _CONTROL_CHARACTERS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_line(line: str, *, to_stderr: bool = False) -> None:
    """Print a line above the progress bar, if one is shown, without control characters."""
    print_row(without_controls(line), to_stderr=to_stderr)


def print_row(line: str, *, to_stderr: bool = False) -> None:
    """Print a line as `print_line`, with its control characters: a quoted field of a table may hold line breaks."""
    stream = sys.stderr if to_stderr else sys.stdout
    # A file name may hold bytes that are not text, or letters that the terminal's encoding lacks.
    encoding = stream.encoding or "utf-8"
    tqdm.write(line.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    # Python would write the last lines at exit, where an error ends in a traceback.
    stream.flush()


def progress_bar(*, hidden: bool = False, **arguments: Any) -> "tqdm[Any]":
    """A tqdm bar on standard error, shown only where that is a terminal. `arguments` are tqdm's."""
    return tqdm(disable=hidden or not sys.stderr.isatty(), dynamic_ncols=True, **arguments)
