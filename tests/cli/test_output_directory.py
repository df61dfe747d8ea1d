"""The output directory: copies are complete or absent, and runs can be repeated."""

import errno
import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers import (
    MARKER,
    TEMPORARY,
    anonymize,
    files,
    start_unread_anonymize,
    write,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_a_directory_in_place_of_a_copy_fails_that_photo(folder: Path, out: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)
    (out / "a.png").mkdir(parents=True)
    write(out / MARKER, b"")

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {photo}: cannot be read or written: Is a directory" in result.stderr
    assert files(out) == set()


def test_a_killed_run_continues_when_it_is_started_again(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes
) -> None:
    names = {f"{index % 3}/{index}.png" for index in range(90)}
    for name in names:
        write(folder / name, tiny_png)

    with start_unread_anonymize(folder, "-o", out, "--jobs", 2, stderr=subprocess.DEVNULL) as killed:
        assert wait_for(lambda: len(files(out)) > 5)
        killed.send_signal(signal.SIGKILL)
    copied = names & files(out)
    assert 0 < len(copied) < len(names)
    assert all((out / name).read_bytes() == redacted for name in copied)
    write(out / "2" / TEMPORARY, redacted[:100])

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(names) - len(copied)
    assert f"{len(copied)} existing copies skipped" in result.stderr
    assert files(out) == names
    assert all((out / name).read_bytes() == redacted for name in names)


def test_temporary_files_of_a_killed_run_are_not_photos(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(folder / TEMPORARY, tiny_png)

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"a.png"}


def test_temporary_files_of_another_run_are_kept(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(out / MARKER, b"")
    write(out / TEMPORARY, b"half a pict")
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        anonymize(folder, "-o", out)
    finally:
        os.close(descriptor)

    assert files(out) == {"a.png", TEMPORARY}


@pytest.mark.parametrize("again", [(), ("--again",)])
def test_an_output_directory_with_other_files_is_rejected(
    folder: Path, out: Path, tiny_png: bytes, again: tuple[str, ...]
) -> None:
    # The file of the same name may be another original.
    write(folder / "a.png", tiny_png)
    write(out / "a.png", b"another original")

    result = anonymize(folder, "-o", out, *again)

    assert result.exit_code == 2
    assert "has other files; choose a new or an empty directory" in result.stderr
    assert (out / "a.png").read_bytes() == b"another original"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_run(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for index in range(40):
        write(folder / f"{index:02}.png", tiny_png)
    syncs: list[int] = []

    def fail_when_full(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) > 5:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("visage.cli.files.os.fsync", fail_when_full)
    result = anonymize(folder, "-o", out, "--jobs", 2)

    assert result.exit_code == 1
    assert f"Error: The disk of {out} is full." in result.stderr
    assert "5 photos done" in result.stderr
    assert len(syncs) < 15
    assert [(out / name).read_bytes() for name in files(out)] == [redacted] * 5


def test_names_of_maximum_length_are_written(folder: Path, out: Path, tiny_png: bytes) -> None:
    name = "a" * 251 + ".png"
    write(folder / name, tiny_png)

    assert anonymize(folder, "-o", out).exit_code == 0
    assert files(out) == {name}


def test_copies_have_the_usual_permissions(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)

    anonymize(folder, "-o", out)

    assert (out / "a.png").stat().st_mode == write(out / "other", b"").stat().st_mode


def test_an_output_directory_that_cannot_be_made_is_rejected(folder: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)

    result = anonymize(folder, "-o", photo / "below")

    assert result.exit_code == 2
    assert "cannot be made" in result.stderr


def test_an_output_directory_that_is_not_writable_is_rejected(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.setattr("visage.cli.output_directory.os.access", lambda *_: False)

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 2
    assert "cannot be written to" in result.stderr


def test_a_disk_that_is_full_before_the_first_copy_is_reported(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)

    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "touch", fail)
    result = anonymize(folder, "-o", out)

    assert result.exit_code == 2
    assert f"Error: {out} cannot be written to: No space left on device." in result.stderr
