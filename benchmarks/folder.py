"""Shows files per second and memory of `visage anonymize` with one and with two jobs: `python -m benchmarks.folder`.

Two processes of one job each, which share nothing, show the most that two cores can do. All three take turns of some
seconds, in which the others are stopped (SIGSTOP), because the machine's speed changes by a third within minutes. It
prints a Markdown table with the peak of memory up to the 20th file and after it.
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

from benchmarks.support import photos
from tests.support.paths import ROOT
from tests.support.processes import resident

# Files after which memory must no longer grow.
SETTLED_FILES = 20

# Seconds of a turn, chosen so that all runs end at about the same time.
TURN_SECONDS = {"one job": 9.0, "two jobs": 5.0, "two processes": 5.0}

_SAMPLE_SECONDS = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--megapixels", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    print("| | files/s | over one job | peak up to the 20th file, MB | peak after it, MB |\n|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "photos")
        write_photos(inputs, arguments.files, arguments.megapixels)
        for round_number in range(arguments.rounds):
            outputs = Path(folder, f"out{round_number}")
            runs = {
                "one job": Run([sorted(inputs.iterdir())], outputs / "one", jobs=1),
                "two jobs": Run([sorted(inputs.iterdir())], outputs / "two", jobs=2),
                "two processes": Run(halves(sorted(inputs.iterdir())), outputs / "processes", jobs=1),
            }
            while not all(run.ended for run in runs.values()):
                for name, run in runs.items():
                    run.take_turn(TURN_SECONDS[name])
            for name, run in runs.items():
                rate, ratio = arguments.files / run.seconds, runs["one job"].seconds / run.seconds
                settling, settled = run.peak_megabytes[False], run.peak_megabytes[True]
                print(f"| {name} | {rate:.2f} | {ratio:.2f} | {settling:.0f} | {settled:.0f} |", flush=True)


def write_photos(folder: Path, files: int, megapixels: float) -> None:
    """Write the same scene, shifted a little each time, so that no two files are equal."""
    folder.mkdir()
    scene = photos.scene(megapixels)
    for number in range(files):
        (folder / f"{number:04}.jpg").write_bytes(photos.jpeg(np.roll(scene, 3 * number, axis=1)))


def halves(photos: list[Path]) -> list[list[Path]]:
    return [photos[::2], photos[1::2]]


class Run:
    """A process for each of `parts`, all stopped except in their turns, with their time and memory measured."""

    def __init__(self, parts: list[list[Path]], output: Path, jobs: int) -> None:
        self._output = output
        self._processes = [
            start(*map(str, part), "-o", str(output / str(index)), "--jobs", str(jobs))
            for index, part in enumerate(parts)
        ]
        self._signal(signal.SIGSTOP)
        # The sum of all turns.
        self.seconds = 0.0
        # By whether the 20th file is written.
        self.peak_megabytes = {False: 0.0, True: 0.0}

    @property
    def ended(self) -> bool:
        return all(process.poll() is not None for process in self._processes)

    def take_turn(self, seconds: float) -> None:
        """Run for some seconds, unless the run has ended."""
        if self.ended:
            return
        started = time.perf_counter()
        self._signal(signal.SIGCONT)
        while not self.ended and time.perf_counter() < started + seconds:
            self._sample()
            time.sleep(_SAMPLE_SECONDS)
        self._signal(signal.SIGSTOP)
        self.seconds += time.perf_counter() - started
        for process in self._processes:
            if process.returncode:
                raise RuntimeError(f"{process.args!r} ended with status {process.returncode}.")

    def _signal(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _sample(self) -> None:
        settled = sum(1 for _ in self._output.glob("*/*.jpg")) >= SETTLED_FILES
        # A process that has just ended has no memory.
        with suppress(StopIteration):
            held = sum([resident(process.pid) for process in self._processes if process.poll() is None])
            self.peak_megabytes[settled] = max(self.peak_megabytes[settled], held)


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "visage.cli", "anonymize", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
