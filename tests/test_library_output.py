"""What libraries print is logged, and a log that cannot be written is no reason to print more."""

import subprocess
import sys
from pathlib import Path

import pytest

# Counts the events of one line that a library prints.
SCRIPT = """
import logging, os, time
from visage.log_format import configure_logging
from visage.library_output import LibraryOutput

configure_logging("info")
events = []
logging.getLogger("visage").addFilter(lambda record: events.append(record) or True)
LibraryOutput().divert()
os.write(2, b"libpng warning\\n")
time.sleep(0.5)
print(len(events))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_a_line_that_cannot_be_logged_is_lost() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], check=True, stdout=subprocess.PIPE, stderr=full, timeout=60
        )

    assert int(done.stdout) == 1


def test_a_line_is_logged_as_an_event() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, timeout=60)

    assert int(done.stdout) == 1
    assert b'"event":"library_output","text":"libpng warning"' in done.stderr
