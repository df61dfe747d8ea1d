"""Shows the time from start to ready, and of the first photo against the tenth: `python -m benchmarks.start PHOTO`.

Each round starts a new service with one worker.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.service import Service, serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=ROOT / "docs" / "astronaut.jpg")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    photo = arguments.photo.read_bytes()
    starts, firsts, tenths = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            with serving(Path(folder) / "log", arguments.pack, WEB_CONCURRENCY="1") as service:
                starts.append(time.perf_counter() - started)
                times = [post_timed(service, photo) for _ in range(10)]
                firsts.append(times[0])
                tenths.append(times[9])
    ratios = [first / tenth for first, tenth in zip(firsts, tenths, strict=True)]
    print(f"pack {arguments.pack}, {arguments.photo.name}, {arguments.rounds} starts of one worker\n")
    print("| | median | minimum | maximum |\n|---|--:|--:|--:|")
    print(row("start to ready, seconds", starts))
    print(row("first photo, seconds", firsts))
    print(row("tenth photo, seconds", tenths))
    print(row("first over tenth", ratios))


def row(name: str, values: list[float]) -> str:
    return f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |"


def post_timed(service: Service, photo: bytes) -> float:
    started = time.perf_counter()
    service.post(photo).raise_for_status()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
