"""The batch process: signals, and errors at its start."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.service import events
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for
from visage.anonymize.options import AnonymizeOptions
from visage.batches import open_batches
from visage.batches.state_machine import State
from visage.settings import Settings

# A batch process that takes at least a tenth of a second per photo.
SLOW = (
    "import time; from visage.runtime.engine import Engine; from visage.batches.consumer import main\n"
    "own = Engine.anonymize\n"
    "Engine.anonymize = lambda *arguments: (time.sleep(0.1), own(*arguments))[1]\n"
    "main()"
)


@contextmanager
def consuming(
    pack: Path, state: Path, log: Path, *command: str, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a batch process, and kill it at the end of the block; `command` replaces the arguments of Python."""
    own = {"VISAGE_PACK": str(pack), "VISAGE_STATE_DIR": str(state), "VISAGE_BATCH_JOBS": "2"} | environment
    with log.open("ab") as file:
        arguments = [sys.executable, *(command or ("-m", "visage.batches"))]
        process = subprocess.Popen(arguments, cwd=ROOT, env=os.environ | own, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_stop_signal_finishes_files_in_progress_and_leaves_the_rest_to_the_next_process(
    tiny_pack: Path, tmp_path: Path
) -> None:
    photo = encode(draw(96, 96), "PNG")
    batches = open_batches(Settings(state_dir=tmp_path / "state"))
    with batches.create() as new:
        for number in range(400):
            new.add(f"grandmother{number}.png", photo)
        batch_id = new.submit(AnonymizeOptions()).id
    log = tmp_path / "log"

    # The whole batch takes at least 20 seconds on any machine.
    with consuming(tiny_pack, tmp_path / "state", log, "-c", SLOW) as first:
        assert wait_for(lambda: batches.progress(batch_id).done > 4)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    between = batches.progress(batch_id)
    with consuming(tiny_pack, tmp_path / "state", log) as second:
        assert wait_for(lambda: batches.progress(batch_id).state is State.DONE, 120)
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0

    assert between.state is State.RUNNING
    files = [each for each in events(log) if each["event"] == "batch_file"]
    assert sorted(each["file"] for each in files) == list(range(1, 401))
    assert {each["attempt"] for each in files} == {1}
    assert "grandmother" not in log.read_text()
    assert batch_id not in log.read_text()
    assert list((tmp_path / "state" / "consumers").iterdir()) == []


PRINTING = (
    "import os; from visage.runtime.engine import Engine; from visage.batches.consumer import main\n"
    "own = Engine.anonymize\n"
    "Engine.anonymize = lambda *arguments: (os.write(2, b'libpng error: bad'), own(*arguments))[1]\n"
    "main()"
)


def test_what_a_library_prints_is_an_event(tiny_pack: Path, tmp_path: Path) -> None:
    batches = open_batches(Settings(state_dir=tmp_path / "state"))
    with batches.create() as new:
        new.add("photo.png", encode(draw(96, 96), "PNG"))
        batch_id = new.submit(AnonymizeOptions()).id
    log = tmp_path / "log"

    with consuming(tiny_pack, tmp_path / "state", log, "-c", PRINTING) as process:
        assert wait_for(lambda: batches.progress(batch_id).state is State.DONE, 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    assert [each["text"] for each in events(log) if each["event"] == "library_output"] == ["libpng error: bad"]
    assert events(log)[-1]["event"] in {"consumer_stopped", "library_output"}


@pytest.mark.parametrize(
    ("variable", "value"), [("VISAGE_PACK", "missing"), ("VISAGE_BATCH_REDIS", "redis://127.0.0.1:1/0")]
)
def test_a_consumer_that_cannot_start_says_why_in_one_sentence(
    tiny_pack: Path, tmp_path: Path, variable: str, value: str
) -> None:
    log = tmp_path / "log"
    environment = {"VISAGE_PACK": str(tiny_pack), "VISAGE_STATE_DIR": str(tmp_path)} | {variable: value}

    with consuming(tiny_pack, tmp_path, log, **environment) as process:
        assert process.wait(60) == 1
    assert log.read_text().startswith("visage.batches cannot start: ")
    assert log.read_text().count("\n") == 1
