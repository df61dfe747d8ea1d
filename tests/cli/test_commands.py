"""The program `visage`: its commands are imported when they run."""

import subprocess
import sys

import pytest

from tests.cli.helpers import COMMAND, run
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("plain_environment")

INTERRUPT_AT_OPENCV = """
import signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting:
    def find_spec(self, name, *_):
        if name == "cv2":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


def test_an_interrupt_during_the_import_ends_a_command_without_a_traceback() -> None:
    command = [sys.executable, "-c", INTERRUPT_AT_OPENCV + COMMAND, "predict", "photo.jpg"]
    ended = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"Stopped.\n")


def test_an_unknown_command_is_rejected() -> None:
    result = run("predct")

    assert result.exit_code == 2
    assert "No such command 'predct'" in result.stderr


def test_the_help_lists_the_commands() -> None:
    lines = run("--help").stdout.partition("Commands:\n")[2].splitlines()

    names = ["anonymize", "enhance", "evaluate", "models", "predict", "serve", "settings"]
    assert [line.split()[0] for line in lines] == names
