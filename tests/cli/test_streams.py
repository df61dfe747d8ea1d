"""`-`: a photo from standard input, and a picture to standard output."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import COMMAND, run
from tests.support.paths import ROOT
from visage.images.headers import read_header

pytestmark = pytest.mark.usefixtures("plain_environment")


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


def test_a_photo_that_fails_leaves_standard_output_empty() -> None:
    ended = pipe(b"not a picture", "anonymize", "-", "-o", "-")

    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(b"-: This kind of file is not accepted")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("predict", "one.jpg", "two.jpg", "-o", "-"), "Standard output takes one picture"),
        (("predict", ".", "-o", "-"), "Standard output takes one picture"),
        (("predict", "-", "-o", "-", "--json"), "Standard output takes the picture or lines"),
        (("anonymize", "-", "-o", "folder"), "A photo from standard input has no name"),
        (("enhance", "-", "-o", "folder"), "A photo from standard input has no name"),
    ],
)
def test_what_does_not_fit_a_stream_is_rejected(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not Path("folder").exists()
