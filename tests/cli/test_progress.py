"""The progress bar of `visage anonymize`."""

import os
import re
from pathlib import Path

import pytest

from tests.cli.helpers import MARKER, anonymize, read_terminal, start_anonymize, write

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_the_progress_bar_advances_and_ends_at_its_total(
    folder: Path, out: Path, tiny_png: bytes, terminal: tuple[int, int]
) -> None:
    for index in range(60):
        write(folder / f"{index}.png", tiny_png)
    write(folder / "bad.jpg", b"no picture")
    write(folder / "notes.txt", b"no picture")
    write(out / MARKER, b"")
    write(out / "7.png", b"made before")
    test_end, process_end = terminal

    with start_anonymize(folder, "-o", out, "--jobs", 2, stdout=process_end, stderr=process_end) as process:
        os.close(process_end)
        shown = read_terminal(test_end)

    assert process.returncode == 1
    counts = [(int(done), int(total)) for done, total in re.findall(r"\| (\d+)/(\d+) \[", shown)]
    # tqdm drops the total when the count exceeds it.
    assert "photo [" not in shown
    assert counts[0] == (0, 60)
    assert counts[-1] == (60, 60)
    assert {total for _, total in counts} == {60}
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)
    assert len({done for done, _ in counts}) > 10


def test_the_progress_bar_is_shown_before_the_first_photo_is_done(
    folder: Path, out: Path, tiny_png: bytes, terminal: tuple[int, int]
) -> None:
    for index in range(20):
        write(folder / f"{index}.png", tiny_png)
    test_end, process_end = terminal

    with start_anonymize(folder, "-o", out, stdout=process_end, stderr=process_end) as process:
        os.close(process_end)
        shown = read_terminal(test_end)

    assert process.returncode == 0
    assert 0 <= shown.index("0/20 [") < shown.index(" faces anonymized")


def test_there_is_no_progress_bar_without_a_terminal(folder: Path, out: Path, tiny_png: bytes, face_count: int) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)

    assert anonymize(folder, "-o", out).stderr == f"2 photos done, {2 * face_count} faces anonymized.\n"
