"""Shows milliseconds per forward pass of one pack against another: `python -m benchmarks.nets --against PACK`.

The packs take turns on one thread; medians, to be read as ratios. The detector gets a photo of 4 to 3 at its longest
side, that of the other pack the square of its input.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.paths import SHARED
from visage.nets.classifier import classify_by_all, read_classifiers
from visage.nets.detector import FaceDetector
from visage.packs.pack import Pack, find_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--against", default=str(SHARED / "packs" / "reference"), help="name or path of the other pack")
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    ours, theirs = find_pack(arguments.pack), find_pack(arguments.against)
    print(f"OpenCV {cv2.__version__}\n\n| ms | {ours.name} | {theirs.name} | ratio |\n|---|--:|--:|--:|")
    longer = max(ours.face.input)
    sizes = (longer, longer * 3 // 4), theirs.face.input
    photo = np.random.default_rng(0).integers(0, 256, (720, 960, 3), np.uint8)
    detectors = FaceDetector(ours.face), FaceDetector(theirs.face)
    runs = [partial(net.detect, photo, size) for net, size in zip(detectors, sizes, strict=True)]
    print(row(f"detector, {sizes[0][0]} x {sizes[0][1]} against {sizes[1][0]} x {sizes[1][1]}", runs, arguments.rounds))
    attributes = [attribute_run(pack, photo) for pack in (ours, theirs)]
    print(row("gender and age, one face, with its crops", attributes, arguments.rounds))


def attribute_run(pack: Pack, photo: NDArray[np.uint8]) -> Callable[[], object]:
    """A function that classifies one face as the service does."""
    nets = read_classifiers(pack.gender, pack.age)
    box = np.array([[300, 200, 420, 350]], np.float32)
    return partial(classify_by_all, nets, photo, box)


def row(name: str, runs: Sequence[Callable[[], object]], rounds: int) -> str:
    """A row of the table."""
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds + 3):
        for run, times in zip(runs, seconds, strict=True):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
    ours, theirs = (1000 * statistics.median(times[3:]) for times in seconds)
    return f"| {name} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |"


if __name__ == "__main__":
    main()
