"""Directories, expected copies and a terminal for the tests of the command line."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from visage.runtime.engine import Engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty directory for photos."""
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The path of an output directory that does not exist yet."""
    return tmp_path / "out"


@pytest.fixture
def photo(tmp_path: Path, tiny_png: bytes) -> Path:
    """A photo with three faces."""
    path = tmp_path / "photo.png"
    path.write_bytes(tiny_png)
    return path


@pytest.fixture
def redacted(engine: Engine, tiny_png: bytes) -> bytes:
    """The copy of `tiny_png` with its faces redacted."""
    return engine.anonymize(tiny_png).picture


@pytest.fixture
def face_count(engine: Engine, tiny_png: bytes) -> int:
    """The number of faces that are redacted in `tiny_png`."""
    return engine.anonymize(tiny_png).redacted


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal of 120 columns: the descriptor that the test reads, and the one that the process writes to."""
    test_end, process_end = pty.openpty()
    fcntl.ioctl(process_end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    yield test_end, process_end
    os.close(test_end)
