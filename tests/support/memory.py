"""Measure the memory that code takes: of a process of its own, or of Python's objects."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.paths import ROOT

# Writing 5 to clear_refs resets the peak (Linux, "proc_pid_clear_refs").
_MEASURE = """
import sys
from pathlib import Path

def kilobytes(field):
    return int(Path("/proc/self/status").read_text().split(field + ":")[1].split()[0])

{setup}
data = sys.stdin.buffer.read()
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
{code}
print(1024 * (kilobytes("VmHWM") - before))
"""


def peak_bytes(setup: str, code: str, data: bytes) -> int:
    """The most bytes that `code`, which finds its input in `data`, takes beside those that `setup` left."""
    script = _MEASURE.format(setup=setup, code=code)
    run = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, check=True, cwd=ROOT)
    return int(run.stdout)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Measure the memory of Python's objects in a block; the function that it gives returns the peak in bytes."""
    peaks: list[int] = []
    tracemalloc.start()
    try:
        yield lambda: peaks[0]
    finally:
        # Python forgets it with `stop`.
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
