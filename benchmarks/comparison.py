"""Visage against the service of the usual tutorials: `make bench` runs this first.

The same photo, machine and OpenCV; the services take turns over several rounds. Full-size nets for the tutorial and for
Visage, then Visage with the pack that it comes with. Writes results/comparison.md and .svg.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from benchmarks import photos
from benchmarks.charts import bar_chart
from benchmarks.fullsize import write_pack
from benchmarks.load import Load, post, put_under_load
from benchmarks.report import RESULTS, circumstances, table
from tests.support.processes import consumers, pss, pss_of, settled_pss
from tests.support.service import Service, free_port, serving, starting

CONNECTIONS = (1, 4, 16)
WORKERS = 2


@dataclass
class Figures:
    """What was measured of one service, a value a round."""

    name: str
    ready: list[float] = field(default_factory=list)
    first_over_median: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    loads: dict[int, list[Load]] = field(default_factory=lambda: {connections: [] for connections in CONNECTIONS})

    def rate(self, connections: int) -> float:
        """Good answers a second."""
        return statistics.median(load.rate for load in self.loads[connections])

    def milliseconds(self, connections: int, percent: float) -> float:
        """Within which that part of the good answers came."""
        return 1000 * statistics.median(load.percentile(percent) for load in self.loads[connections])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    photo = photos.jpeg(photos.two_faces())
    with tempfile.TemporaryDirectory() as folder:
        nets = write_pack(Path(folder) / "fullsize")
        log = Path(folder) / "log"
        candidates: dict[str, Callable[[], AbstractContextManager[Service]]] = {
            "tutorial": lambda: tutorial(log, nets),
            "visage, same nets": lambda: visage(log, str(nets)),
            "visage, compact": lambda: visage(log, "compact"),
        }
        figures = [Figures(name) for name in candidates]
        for _ in range(arguments.rounds):
            for start, found in zip(candidates.values(), figures, strict=True):
                measure(start, photo, arguments.seconds, found)
        memory = after_many(log, photo)
    text = report(figures, memory)
    print(text)
    (RESULTS / "comparison.md").write_text(
        f"{circumstances('Visage against the service of the usual tutorials')}\n{text}"
    )
    draw(figures, RESULTS / "comparison.svg")


@contextmanager
def tutorial(log: Path, nets: Path) -> Iterator[Service]:
    """The tutorial's service, as its readers start it."""
    port = free_port()
    # Without Visage's own settings, which gunicorn would find in the current folder.
    options = ["--config", os.devnull, "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}"]
    paths = {"MODEL_DIR": str(nets), "OUTPUT_DIR": str(log.parent)}
    with starting(log, port, ["-m", "gunicorn", *options, "benchmarks.tutorial:app"], paths) as service:
        wait_for_answer(service)
        yield service


def wait_for_answer(service: Service) -> None:
    """Until a worker answers at all: the tutorial's service has no route that tells."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            requests.get(service.url, timeout=30)
        except requests.ConnectionError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"The tutorial's service did not start:\n{service.log.read_text()}")


@contextmanager
def visage(log: Path, pack: str) -> Iterator[Service]:
    """Visage as it comes, but for a queue and patience that let all of 16 connections wait their turn."""
    patience = {"WEB_CONCURRENCY": str(WORKERS), "VISAGE_QUEUE": "16", "VISAGE_WAIT_SECONDS": "60"}
    with serving(log, pack, **patience) as service:
        yield service


def measure(start: Callable[[], AbstractContextManager[Service]], photo: bytes, seconds: float, found: Figures) -> None:
    """One round of one service."""
    with start() as service:
        found.idle.append(settled_pss(service))
    began = time.perf_counter()
    with start() as service:
        found.ready.append(time.perf_counter() - began)
        url = f"{service.url}/predict"
        times = [timed(url, photo) for _ in range(15)]
        found.first_over_median.append(times[0] / statistics.median(times[5:]))
        for connections in CONNECTIONS:
            found.loads[connections].append(put_under_load(url, photo, connections, seconds))
        found.loaded.append(pss(service))


def timed(url: str, photo: bytes) -> float:
    began = time.perf_counter()
    post(url, photo)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Memory:
    """Megabytes (PSS) of all processes at once after much work, of the one for batches among them, and of all later."""

    at_once: float
    of_batches: float
    settled: float


def after_many(log: Path, photo: bytes) -> Memory:
    """PSS of Visage with its own pack after 2,000 requests at 8 connections: at once, and some seconds later."""
    with visage(log, "compact") as service:
        url, sent = f"{service.url}/predict", 0
        while sent < 2000:
            sent += sum(put_under_load(url, photo, 8, 5).answers.values())
        return Memory(pss(service), pss_of(consumers(service)), settled_pss(service))


def report(figures: list[Figures], memory: Memory) -> str:
    """The table, with what Visage gains as ratios to the tutorial's service."""
    rows: list[tuple[str, list[float], str]] = []
    for at in CONNECTIONS:
        name = f"{at} connection{'s' if at > 1 else ''}"
        rows.append((f"requests/s, {name}", [each.rate(at) for each in figures], ".1f"))
        rows += [
            (f"p{percent}, {name}, ms", [each.milliseconds(at, percent) for each in figures], ".0f")
            for percent in (50, 95, 99)
        ]
    rows += [
        ("start to ready, s", [statistics.median(each.ready) for each in figures], ".2f"),
        ("first request over median", [statistics.median(each.first_over_median) for each in figures], ".2f"),
        ("PSS idle, MB", [statistics.median(each.idle) for each in figures], ".0f"),
        ("PSS loaded, MB", [statistics.median(each.loaded) for each in figures], ".0f"),
    ]
    body = [
        [name, *(format(value, form) for value in values), *(f"{value / values[0]:.2f}" for value in values[1:])]
        for name, values, form in rows
    ]
    body.append(["answers that were broken or none", *(faults(each) for each in figures), "", ""])
    names = [each.name for each in figures]
    head = ["", *names, *(f"{name} / tutorial" for name in names[1:])]
    after = (
        f"{memory.at_once:.0f} MB at once, of which {memory.of_batches:.0f} are the process that works on batches; "
        f"{memory.settled:.0f} MB some seconds later"
    )
    return f"{table(head, body)}\nPSS of visage, compact, after 2,000 requests at 8 connections: {after}.\n"


def faults(figures: Figures) -> str:
    """How many answers were not 200, and how many were but differed from what a quiet call got."""
    loads = [load for each in figures.loads.values() for load in each]
    failed = sum(count for load in loads for status, count in load.answers.items() if status != 200)
    return str(failed + sum(load.broken for load in loads))


def draw(figures: list[Figures], path: Path) -> None:
    """Requests a second and memory as multiples of the tutorial's."""
    groups = {f"requests/s,\n{at} connections": [each.rate(at) for each in figures] for at in CONNECTIONS}
    groups["memory,\nidle"] = [statistics.median(each.idle) for each in figures]
    groups["memory,\nloaded"] = [statistics.median(each.loaded) for each in figures]
    ratios = {group: [value / values[0] for value in values] for group, values in groups.items()}
    bar_chart(path, "times the tutorial's service", [each.name for each in figures], ratios)


if __name__ == "__main__":
    main()
