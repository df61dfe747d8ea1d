"""`-`: a photo from standard input, and a picture to standard output."""

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from tests.cli.helpers import COMMAND, files, run, write
from tests.support.paths import ROOT
from visage.cli.files import read_stream
from visage.errors import ImageTooLarge
from visage.images.headers import read_header

pytestmark = pytest.mark.usefixtures("plain_environment")


COMMANDS = ("predict", "anonymize", "enhance")


def pipe(photo: bytes, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `visage` in a process of its own with a photo on its standard input."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    return subprocess.run(command, input=photo, capture_output=True, check=False, cwd=ROOT)


def test_a_photo_comes_from_standard_input(tiny_png: bytes) -> None:
    ended = pipe(tiny_png, "predict", "-")

    assert ended.stdout.startswith(b"-: 3 faces\n")


def test_an_annotated_image_goes_to_standard_output(tiny_png: bytes) -> None:
    ended = pipe(tiny_png, "predict", "-", "-o", "-")

    assert read_header(ended.stdout).format == "JPEG"


def test_an_anonymized_photo_goes_through(tiny_png: bytes, redacted: bytes) -> None:
    ended = pipe(tiny_png, "anonymize", "-", "-o", "-")

    assert ended.stdout == redacted


@pytest.mark.parametrize("path", ["./-", "."])
def test_a_file_of_the_name_of_standard_input_is_a_file(
    folder: Path, tiny_png: bytes, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "-", tiny_png)
    monkeypatch.chdir(folder)

    assert run("predict", path).stdout.startswith(f"{folder / '-'}: 3 faces\n")


def test_a_directory_of_the_name_of_standard_output_is_a_directory(
    folder: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.chdir(folder)

    assert run("anonymize", "a.png", "-o", "./-").exit_code == 0
    assert files(folder / "-") == {"a.png"}


def test_a_photo_that_fails_leaves_standard_output_empty() -> None:
    ended = pipe(b"not a picture", "anonymize", "-", "-o", "-")

    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"-: This kind of file is not accepted")


@pytest.mark.parametrize("arguments", [("predict", "-"), *((each, "-", "-o", "-") for each in COMMANDS)], ids=" ".join)
def test_standard_input_that_is_no_photo_is_not_read_to_its_end(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", COMMAND, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"\0\0\0\x18ftypisom".ljust(2048, b"\0"))
        process.stdin.flush()
        error = process.stderr.readline()

    assert error.startswith(b"-: This kind of file is not accepted")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "photo.png"),
        ("predict", "photo.png", "--json"),
        ("predict", "photo.png", "--csv"),
        *((each, "photo.png", "-o", "-") for each in ("predict", "anonymize")),
        ("settings",),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_full_disk_for_standard_output_ends_a_command_with_a_sentence(
    photo: Path, arguments: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", COMMAND, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, check=False, cwd=photo.parent, env=environment
        )

    assert ended.stderr == b"Error: Standard output cannot be written: No space left on device.\n"
    assert ended.returncode == 1


def test_a_stream_that_is_longer_than_any_accepted_photo_is_not_read_to_its_end(tiny_png: bytes) -> None:
    stream = BytesIO(tiny_png + bytes(80 * 2**20))

    with pytest.raises(ImageTooLarge, match="more than 67,116,864 bytes"):
        read_stream(stream, max_pixels=1000)

    assert stream.tell() < 70 * 2**20


@pytest.mark.parametrize("command", COMMANDS)
def test_a_video_is_not_read_whole(tmp_path: Path, command: str) -> None:
    video = write(tmp_path / "clip.mp4", b"\0\0\0\x18ftypisom")
    os.truncate(video, 2**40)

    result = run(command, video, "-o", "-")

    assert result.exit_code == 1
    assert "This kind of file is not accepted" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("predict", "one.jpg", "two.jpg", "-o", "-"), "Standard output takes one picture"),
        (("predict", ".", "-o", "-"), "Standard output takes one picture"),
        (("predict", "-", "-o", "-", "--json"), "Standard output takes the picture or lines"),
        (("anonymize", "-", "-o", "folder"), "A photo from standard input has no name"),
        (("enhance", "-", "-o", "folder"), "A photo from standard input has no name"),
        (("predict", ""), "An empty path names no file"),
        (("predict", "one.jpg", "-o", ""), "An empty path names no file"),
        (("anonymize", "", "-o", "folder"), "An empty path names no file"),
        (("anonymize", "one.jpg", "-o", ""), "An empty path names no file"),
        (("enhance", "", "-o", "folder"), "An empty path names no file"),
        (("evaluate", ""), "An empty path names no file"),
    ],
)
def test_paths_that_cannot_be_used_are_rejected(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run(*arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert files(tmp_path) == set()
