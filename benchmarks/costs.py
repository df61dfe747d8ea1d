"""Shows where the time of a request goes, and the cost of more faces, pixels and connections, with the compact pack.

`make bench` runs it and writes results/costs.md and two charts. The first table is processor time, the others are
elapsed time: nothing else should run meanwhile.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks.support import photos
from benchmarks.support.charts import line_chart
from benchmarks.support.load import put_under_load
from benchmarks.support.report import RESULTS, heading, table
from tests.support.processes import peak, processor_seconds, reset_peak, resident, workers
from tests.support.service import Service, serving

FACES = (1, 2, 5, 10, 20, 50, 100)
MEGAPIXELS = (0.3, 1, 2, 6, 12, 24, 50)
CONNECTIONS = (1, 2, 4, 8, 16, 32)

TOTAL = "in total"

# For the stages: starts of the service, because its memory layout changes a request by 2 %; means per start; requests
# per mean, because some work is done four times a second.
STARTS, MEANS, REQUESTS_PER_MEAN = 5, 5, 20

# 50 million pixels with grain exceed the default limits.
LIMITS = {"VISAGE_MAX_BODY_BYTES": str(40 * 2**20), "VISAGE_QUEUE": "64", "VISAGE_WAIT_SECONDS": "60"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="requests of each kind, except for the stages")
    parser.add_argument("--seconds", type=float, default=5, help="seconds of load for each number of connections")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        parts = [stages(log)]
        with serving(log, "compact", WEB_CONCURRENCY="1", **LIMITS) as service:
            parts.append(growth_with_faces(service, arguments.rounds))
            parts.append(growth_with_pixels(service, arguments.rounds))
        with serving(log, "compact", WEB_CONCURRENCY=str(os.cpu_count()), **LIMITS) as service:
            parts.append(growth_with_connections(service, arguments.seconds))
    text = "\n".join(parts)
    print(text)
    (RESULTS / "costs.md").write_text(f"{heading('What a request costs')}\n{text}")


def stages(log: Path) -> str:
    """The processor time of a request by stage; what no stage accounts for is HTTP and serialization."""
    photo = photos.jpeg(photos.two_faces())
    kinds: dict[str, list[float]] = {}
    for _ in range(STARTS):
        with_processor_clock = "-m", "benchmarks.support.processor_time", "app:app"
        # The connection is kept alive, as clients with many photos do; a new one costs 0.4 to 0.7 ms.
        with (
            serving(log, "compact", *with_processor_clock, WEB_CONCURRENCY="1") as service,
            requests.Session() as session,
        ):
            (worker,) = workers(service)
            post = partial(session.post, f"{service.url}/predict", files={"image": photo}, timeout=60)
            for _ in range(10):
                post()
            for _ in range(MEANS):
                before = processor_seconds(worker)
                timings = [post().json()["timings_ms"] for _ in range(REQUESTS_PER_MEAN)]
                used = 1000 * (processor_seconds(worker) - before) / REQUESTS_PER_MEAN
                means = {name: statistics.mean(each[name] for each in timings) for name in timings[0]}
                for name, value in _parts(means, used).items():
                    kinds.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in kinds.items()}
    rows = [[name, f"{value:.2f}", f"{value / medians[TOTAL]:.1%}"] for name, value in medians.items()]
    return f"## A request with two faces, 1126 x 661\n\n{table(['stage', 'ms', 'share'], rows)}"


def _parts(timings: dict[str, float], used: float) -> dict[str, float]:
    """The milliseconds that a request `used`, by stage."""
    stages = {name: value for name, value in timings.items() if name != "wait"}
    inside = sum(stages[name] for name in ("decode", "detect", "attributes", "encode"))
    rest = "all else: HTTP, parsing, JSON, base64"
    return stages | {rest: used - sum(stages.values()), TOTAL: used, "outside decode, nets, encode": used - inside}


def growth_with_faces(service: Service, rounds: int) -> str:
    """Images of 1600 x 1600 with an increasing number of faces."""
    responses = post_in_turns(service, [photos.jpeg(photos.crowd(faces)) for faces in FACES], rounds)
    times = [median_milliseconds(each) for each in responses]
    rows = []
    for faces, each, milliseconds in zip(FACES, responses, times, strict=True):
        found = len(each[0].content["faces"])
        rows.append([str(faces), str(found), f"{milliseconds:.0f}", f"{milliseconds / found:.1f}"])
    line_chart(RESULTS / "costs_faces.svg", ("faces", "milliseconds"), {"request": (FACES, times)})
    return f"## More faces\n\n{table(['faces in 1600 x 1600', 'found', 'ms', 'ms per face'], rows)}"


def growth_with_pixels(service: Service, rounds: int) -> str:
    """The same scene with an increasing number of pixels."""
    scenes = [photos.jpeg(photos.scene(megapixels)) for megapixels in MEGAPIXELS]
    extra = [additional_memory(service, photo) for photo in scenes]
    responses = post_in_turns(service, scenes, rounds)
    times = [median_milliseconds(each) for each in responses]
    rows = [
        [
            f"{megapixels:g}",
            f"{len(photo) / 1e6:.1f}",
            f"{len(each[0].content['faces'])}",
            f"{milliseconds:.0f}",
            f"{more:.0f}",
            median_stages(each),
        ]
        for megapixels, photo, each, milliseconds, more in zip(MEGAPIXELS, scenes, responses, times, extra, strict=True)
    ]
    line_chart(RESULTS / "costs_pixels.svg", ("million pixels", "milliseconds"), {"request": (MEGAPIXELS, times)})
    head = ["million pixels", "MB of JPEG", "faces", "ms", "MB more at the peak", "stages, ms"]
    return f"## More pixels\n\n{table(head, rows)}"


def growth_with_connections(service: Service, seconds: float) -> str:
    """One worker per core, with an increasing number of clients."""
    photo = photos.jpeg(photos.two_faces())
    rows = []
    for connections in CONNECTIONS:
        load = put_under_load(f"{service.url}/predict", photo, connections, seconds)
        latencies = [f"{1000 * load.percentile(percent):.0f}" for percent in (50, 95, 99)]
        rows.append([str(connections), f"{load.rate:.1f}", *latencies])
    head = ["connections", "requests/s", "p50, ms", "p95, ms", "p99, ms"]
    return f"## More connections, {os.cpu_count()} workers\n\n{table(head, rows)}"


@dataclass(frozen=True)
class TimedResponse:
    """The content of a response, and the seconds that it took."""

    seconds: float
    content: Any


def post_in_turns(service: Service, uploads: Sequence[bytes], rounds: int) -> list[list[TimedResponse]]:
    """Post each of `uploads` in turns, so that other work of the machine affects all of them; the responses of each."""
    responses: list[list[TimedResponse]] = [[] for _ in uploads]
    for _ in range(rounds):
        for photo, each in zip(uploads, responses, strict=True):
            began = time.perf_counter()
            response = service.post(photo)
            each.append(TimedResponse(time.perf_counter() - began, response.json()))
    return responses


def additional_memory(service: Service, photo: bytes) -> float:
    """The peak of the worker's memory for `photo`, in megabytes above its memory before, after a first request."""
    (worker,) = workers(service)
    service.post(photo).raise_for_status()
    idle = resident(worker)
    reset_peak(worker)
    service.post(photo).raise_for_status()
    return peak(worker) - idle


def median_milliseconds(responses: Sequence[TimedResponse]) -> float:
    return 1000 * statistics.median(each.seconds for each in responses)


def median_stages(responses: Sequence[TimedResponse]) -> str:
    timings = [each.content["timings_ms"] for each in responses]
    names = [name for name in timings[0] if name != "wait"]
    return " ".join(f"{name} {statistics.median(each[name] for each in timings):.0f}" for name in names)


if __name__ == "__main__":
    main()
