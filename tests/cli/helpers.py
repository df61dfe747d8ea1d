"""Run `visage` in this process or in its own, and read what it wrote."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.cli import main
from visage.runtime.engine import Engine

# The empty file that marks an output directory.
MARKER = ".visage-copies"

# The name of a copy that is being written.
TEMPORARY = f".visage-{'0' * 32}.part"

# A process inherits ignored signals, so the command that runs the tests may have disabled interrupts.
COMMAND = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from visage.cli import main; main()"


def run(*arguments: object) -> Result:
    """Run `visage` in this process."""
    return CliRunner().invoke(main, [str(each) for each in arguments])


def anonymize(*arguments: object) -> Result:
    """Run `visage anonymize` in this process."""
    return run("anonymize", *arguments)


def start_anonymize(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    """Start `visage anonymize` in a process of its own. `options` are those of Popen."""
    return subprocess.Popen([sys.executable, "-c", COMMAND, "anonymize", *map(str, arguments)], **options)


def start_unread_anonymize(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    """Start `visage anonymize` with a small pipe, so that it blocks after some forty photos until somebody reads."""
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    return start_anonymize(*arguments, stdout=subprocess.PIPE, pipesize=4096, env=unbuffered, **options)


def write(path: Path, content: bytes) -> Path:
    """Write a file and the directories that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def files(folder: Path) -> set[str]:
    """The relative paths of all files in a directory, except markers of output directories."""
    paths = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return {path for path in paths if Path(path).name != MARKER}


def read_terminal(descriptor: int) -> str:
    """All output on a terminal, until no process has it open."""
    output = b""
    while True:
        try:
            output += os.read(descriptor, 65536)
        except OSError:
            return output.decode()


def before_each_photo(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Call `before` with the number of each photo, from 0, before the engine anonymizes it."""
    original = Engine.anonymize
    lock, numbers = threading.Lock(), iter(range(1_000_000))

    def anonymize_after(self: Engine, data: bytes, options: AnonymizeOptions) -> Anonymized:
        with lock:
            number = next(numbers)
        before(number)
        return original(self, data, options)

    monkeypatch.setattr(Engine, "anonymize", anonymize_after)
