"""`make fuzz` ends, whatever a target does."""

import signal
import sys
import time
from pathlib import Path

from fuzz.run import exit_status


def test_a_target_that_hangs_is_killed(tmp_path: Path) -> None:
    started = time.monotonic()

    with (tmp_path / "log").open("w") as output:
        status = exit_status([sys.executable, "-c", "import time; time.sleep(60)"], 1, output, {})

    assert status == -signal.SIGKILL
    assert time.monotonic() - started < 30
