"""A folder of photos through `visage anonymize`, with one job and with two: `python -m benchmarks.folder`.

Prints a Markdown table: files a second, and the most memory that the process held before and after its 20th file.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import photos
from benchmarks.service import ROOT
from benchmarks.usage import resident

# Memory is to be flat from here on.
SETTLED_FILES = 20


@dataclass(frozen=True)
class Run:
    """What one run took, in seconds, and the most megabytes that it held until its 20th file and after it."""

    seconds: float
    settling: float
    settled: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    print("| jobs | files/s | over one job | memory until the 20th file, MB | and after it |\n|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "photos")
        write_photos(inputs, arguments.files, arguments.megapixels)
        for round_number in range(arguments.rounds):
            runs = {jobs: anonymize(inputs, Path(folder, f"out{round_number}-{jobs}"), jobs) for jobs in (1, 2)}
            for jobs, run in runs.items():
                rate, ratio = arguments.files / run.seconds, runs[1].seconds / run.seconds
                print(f"| {jobs} | {rate:.2f} | {ratio:.2f} | {run.settling:.0f} | {run.settled:.0f} |", flush=True)


def write_photos(folder: Path, files: int, megapixels: float) -> None:
    """The same scene, moved a little each time: no two files are equal."""
    folder.mkdir()
    scene = photos.scene(megapixels)
    for number in range(files):
        (folder / f"{number:04}.jpg").write_bytes(photos.jpeg(np.roll(scene, 3 * number, axis=1)))


def anonymize(inputs: Path, output: Path, jobs: int) -> Run:
    """One run of the command, watched."""
    command = [sys.executable, "-m", "visage.cli", "anonymize", str(inputs), "-o", str(output), "--jobs", str(jobs)]
    started = time.perf_counter()
    most = {False: 0.0, True: 0.0}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            settled = output.is_dir() and sum(1 for _ in output.glob("*.jpg")) >= SETTLED_FILES
            # One that has just ended holds nothing any more.
            with suppress(StopIteration):
                most[settled] = max(most[settled], resident(process.pid))
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}.")
    return Run(time.perf_counter() - started, most[False], most[True])


if __name__ == "__main__":
    main()
