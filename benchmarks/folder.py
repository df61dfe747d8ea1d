"""A folder of photos through `visage anonymize`, with one job and with two: `python -m benchmarks.folder`.

The two runs take turns of some seconds: one is stopped (SIGSTOP) while the other has the machine, whose speed changes
by a third within minutes. Prints a Markdown table: files a second, and the most memory that each process held before
and after its 20th file.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from benchmarks import photos
from benchmarks.service import ROOT
from benchmarks.usage import resident

# Memory is to be flat from here on.
SETTLED_FILES = 20


# Turns of the runs with one job and with two, so that both come to their end at about the same time.
TURN_SECONDS = {1: 9.0, 2: 5.0}

_LOOK_SECONDS = 0.2


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
            runs = {jobs: Run(inputs, Path(folder, f"out{round_number}-{jobs}"), jobs) for jobs in TURN_SECONDS}
            while not all(run.ended for run in runs.values()):
                for jobs, run in runs.items():
                    run.go_on(TURN_SECONDS[jobs])
            for jobs, run in runs.items():
                rate, ratio = arguments.files / run.seconds, runs[1].seconds / run.seconds
                settling, settled = run.most_megabytes[False], run.most_megabytes[True]
                print(f"| {jobs} | {rate:.2f} | {ratio:.2f} | {settling:.0f} | {settled:.0f} |", flush=True)


def write_photos(folder: Path, files: int, megapixels: float) -> None:
    """The same scene, moved a little each time: no two files are equal."""
    folder.mkdir()
    scene = photos.scene(megapixels)
    for number in range(files):
        (folder / f"{number:04}.jpg").write_bytes(photos.jpeg(np.roll(scene, 3 * number, axis=1)))


class Run:
    """One run of the command, watched; it stands still but for its turns."""

    def __init__(self, inputs: Path, output: Path, jobs: int) -> None:
        self._output = output
        command = ["-m", "visage.cli", "anonymize", str(inputs), "-o", str(output), "--jobs", str(jobs)]
        self._process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
        self._process.send_signal(signal.SIGSTOP)
        # What the turns so far have taken.
        self.seconds = 0.0
        # Until the 20th file, and after it.
        self.most_megabytes = {False: 0.0, True: 0.0}

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def go_on(self, seconds: float) -> None:
        """Give it a turn, if there is more to do."""
        if self.ended:
            return
        started = time.perf_counter()
        self._process.send_signal(signal.SIGCONT)
        while self._process.poll() is None and time.perf_counter() < started + seconds:
            self._look()
            time.sleep(_LOOK_SECONDS)
        if not self.ended:
            self._process.send_signal(signal.SIGSTOP)
        self.seconds += time.perf_counter() - started
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.returncode}.")

    def _look(self) -> None:
        settled = self._output.is_dir() and sum(1 for _ in self._output.glob("*.jpg")) >= SETTLED_FILES
        # One that has just ended holds nothing any more.
        with suppress(StopIteration):
            self.most_megabytes[settled] = max(self.most_megabytes[settled], resident(self._process.pid))


if __name__ == "__main__":
    main()
