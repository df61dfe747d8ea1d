"""Shows Visage against the service that tutorials build; `make bench` runs it.

Both have the same photo, machine and OpenCV, and take turns over several rounds: full-size nets for the tutorial and
for Visage, then Visage with its own pack. Writes results/comparison.md and .svg.
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

from benchmarks.support import photos
from benchmarks.support.charts import bar_chart
from benchmarks.support.full_size_nets import write_pack
from benchmarks.support.load import Load, post, put_under_load
from benchmarks.support.report import RESULTS, heading, table
from tests.support.processes import consumers, pss, pss_of, settled_pss
from tests.support.service import Service, free_port, serving, starting

CONNECTIONS = (1, 4, 16)
WORKERS = 2


@dataclass
class Figures:
    """The measurements of one service, one value per round."""

    name: str
    ready: list[float] = field(default_factory=list)
    first_over_median: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    loads: dict[int, list[Load]] = field(default_factory=lambda: {connections: [] for connections in CONNECTIONS})

    def rate(self, connections: int) -> float:
        """Correct responses per second."""
        return statistics.median(load.rate for load in self.loads[connections])

    def milliseconds(self, connections: int, percent: float) -> float:
        """The latency of that percentage of the responses with status 200."""
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
            for start, each in zip(candidates.values(), figures, strict=True):
                measure(start, photo, arguments.seconds, each)
        memory = measure_memory(log, photo)
    text = report(figures, memory)
    print(text)
    (RESULTS / "comparison.md").write_text(f"{heading('Visage against the service that tutorials build')}\n{text}")
    draw(figures, RESULTS / "comparison.svg")


@contextmanager
def tutorial(log: Path, nets: Path) -> Iterator[Service]:
    """Start the tutorial's service as its readers do."""
    port = free_port()
    # gunicorn would read Visage's configuration from the current folder.
    options = ["--config", os.devnull, "--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}"]
    paths = {"MODEL_DIR": str(nets), "OUTPUT_DIR": str(log.parent)}
    with starting(log, port, ["-m", "gunicorn", *options, "benchmarks.support.tutorial:app"], paths) as service:
        wait_until_ready(service)
        yield service


def wait_until_ready(service: Service) -> None:
    """Wait for the first response of any status: the tutorial's service has no readiness route."""
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
    """Start Visage with its defaults, except a queue and a waiting time that suffice for 16 connections."""
    settings = {"WEB_CONCURRENCY": str(WORKERS), "VISAGE_QUEUE": "16", "VISAGE_WAIT_SECONDS": "60"}
    with serving(log, pack, **settings) as service:
        yield service


def measure(
    start: Callable[[], AbstractContextManager[Service]], photo: bytes, seconds: float, figures: Figures
) -> None:
    """Measure one round of one service."""
    with start() as service:
        figures.idle.append(settled_pss(service))
    began = time.perf_counter()
    with start() as service:
        figures.ready.append(time.perf_counter() - began)
        url = f"{service.url}/predict"
        times = [timed(url, photo) for _ in range(15)]
        figures.first_over_median.append(times[0] / statistics.median(times[5:]))
        for connections in CONNECTIONS:
            figures.loads[connections].append(put_under_load(url, photo, connections, seconds))
        figures.loaded.append(pss(service))


def timed(url: str, photo: bytes) -> float:
    began = time.perf_counter()
    post(url, photo)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Memory:
    """PSS in megabytes after many requests: of all processes, of the batch process, and of all some seconds later."""

    total: float
    batches: float
    settled: float


def measure_memory(log: Path, photo: bytes) -> Memory:
    """Measure Visage with its own pack after 2,000 requests at 8 connections."""
    with visage(log, "compact") as service:
        url, sent = f"{service.url}/predict", 0
        while sent < 2000:
            sent += sum(put_under_load(url, photo, 8, 5).responses.values())
        return Memory(pss(service), pss_of(consumers(service)), settled_pss(service))


def report(figures: list[Figures], memory: Memory) -> str:
    """A Markdown table with the ratios of Visage to the tutorial's service."""
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
    body.append(["corrupt or failed responses", *(count_failures(each) for each in figures), "", ""])
    names = [each.name for each in figures]
    head = ["", *names, *(f"{name} / tutorial" for name in names[1:])]
    after = (
        f"{memory.total:.0f} MB immediately, of which {memory.batches:.0f} are the batch process; "
        f"{memory.settled:.0f} MB some seconds later"
    )
    return f"{table(head, body)}\nPSS of visage, compact, after 2,000 requests at 8 connections: {after}.\n"


def count_failures(figures: Figures) -> str:
    """The number of responses that were not 200 or differed from that of a request before the load."""
    loads = [load for each in figures.loads.values() for load in each]
    failed = sum(count for load in loads for status, count in load.responses.items() if status != 200)
    return str(failed + sum(load.corrupt for load in loads))


def draw(figures: list[Figures], path: Path) -> None:
    """Draw requests per second and memory as multiples of the tutorial's."""
    groups = {f"requests/s,\n{at} connections": [each.rate(at) for each in figures] for at in CONNECTIONS}
    groups["memory,\nidle"] = [statistics.median(each.idle) for each in figures]
    groups["memory,\nloaded"] = [statistics.median(each.loaded) for each in figures]
    ratios = {group: [value / values[0] for value in values] for group, values in groups.items()}
    bar_chart(path, "times the tutorial's service", [each.name for each in figures], ratios)


if __name__ == "__main__":
    main()
