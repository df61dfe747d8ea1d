"""Where the time of a request goes, and what more faces, pixels and connections cost: `make bench` runs this second.

One worker of the compact pack, for connections as many as there are cores, on loopback. Writes results/costs.md and two
charts beside it. Stages are told by the clock, the whole by the processor: nothing else should run meanwhile.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import requests

from benchmarks import photos
from benchmarks.charts import line_chart
from benchmarks.load import put_under_load
from benchmarks.report import RESULTS, circumstances, table
from benchmarks.service import Service, serving
from benchmarks.usage import forget_peak, peak, processor_seconds, resident, workers

FACES = (1, 2, 5, 10, 20, 50, 100)
MEGAPIXELS = (0.3, 1, 2, 6, 12, 24, 50)
CONNECTIONS = (1, 2, 4, 8, 16, 32)

# What the settings allow by default is less than 50 million pixels of grain weigh.
ROOM = {"VISAGE_MAX_BODY_BYTES": str(40 * 2**20), "VISAGE_QUEUE": "64", "VISAGE_WAIT_SECONDS": "60"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="requests of each kind; medians are told")
    parser.add_argument("--seconds", type=float, default=5, help="of load for each number of connections")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with serving(log, "compact", WEB_CONCURRENCY="1", **ROOM) as service:
            parts = [stages(service, 20 * arguments.rounds)]
            parts.append(growth_with_faces(service, arguments.rounds))
            parts.append(growth_with_pixels(service, arguments.rounds))
        with serving(log, "compact", WEB_CONCURRENCY=str(os.cpu_count()), **ROOM) as service:
            parts.append(growth_with_connections(service, arguments.seconds))
    text = "\n".join(parts)
    print(text)
    (RESULTS / "costs.md").write_text(f"{circumstances('What a request costs')}\n{text}")


def stages(service: Service, rounds: int) -> str:
    """A request by what its time was for; what no stage accounts for is the web's."""
    photo = photos.jpeg(photos.two_faces())
    # Connections are kept, as by everything that posts many photos; a new one costs 0.4 to 0.7 ms.
    with requests.Session() as session:
        post = partial(session.post, f"{service.url}/predict", files={"image": photo}, timeout=60)
        for _ in range(10):
            post()
        worker = workers(service)[0]
        before = processor_seconds(worker)
        timings = [post().json()["timings_ms"] for _ in range(rounds)]
    total = 1000 * (processor_seconds(worker) - before) / rounds
    names = [name for name in timings[0] if name != "wait"]
    means = {name: statistics.mean(each[name] for each in timings) for name in names}
    means["all else: HTTP, parsing, JSON, base64"] = total - sum(means.values())
    rows = [[name, f"{value:.2f}", f"{value / total:.1%}"] for name, value in means.items()]
    outside = total - sum(means[name] for name in ("decode", "detect", "attributes", "encode"))
    rows += [
        ["in all", f"{total:.2f}", ""],
        ["outside decode, nets, encode", f"{outside:.2f}", f"{outside / total:.1%}"],
    ]
    return f"## A request with two faces, 1126 x 661\n\n{table(['stage', 'ms', 'share'], rows)}"


def growth_with_faces(service: Service, rounds: int) -> str:
    """Pictures of 1600 x 1600 with more and more faces."""
    rows = []
    times = []
    for faces in FACES:
        photo = photos.jpeg(photos.crowd(faces))
        answer = service.post(photo).json()
        times.append(1000 * median_seconds(partial(service.post, photo), rounds))
        found = len(answer["faces"])
        rows.append([str(faces), str(found), f"{times[-1]:.0f}", f"{times[-1] / found:.1f}"])
    line_chart(RESULTS / "costs_faces.svg", ("faces", "milliseconds"), {"a request": (FACES, times)})
    return f"## More faces\n\n{table(['faces in 1600 x 1600', 'found', 'ms', 'ms a face'], rows)}"


def growth_with_pixels(service: Service, rounds: int) -> str:
    """The same scene at more and more pixels."""
    rows = []
    times = []
    worker = workers(service)[0]
    for megapixels in MEGAPIXELS:
        photo = photos.jpeg(photos.scene(megapixels))
        service.post(photo).raise_for_status()
        idle = resident(worker)
        forget_peak(worker)
        answer = service.post(photo).json()
        extra = peak(worker) - idle
        times.append(1000 * median_seconds(partial(service.post, photo), rounds))
        stages = " ".join(f"{name} {value:.0f}" for name, value in answer["timings_ms"].items() if name != "wait")
        size = f"{len(photo) / 1e6:.1f}"
        rows.append([f"{megapixels:g}", size, f"{len(answer['faces'])}", f"{times[-1]:.0f}", f"{extra:.0f}", stages])
    line_chart(RESULTS / "costs_pixels.svg", ("million pixels", "milliseconds"), {"a request": (MEGAPIXELS, times)})
    head = ["million pixels", "MB of JPEG", "faces", "ms", "MB more at the peak", "stages, ms"]
    return f"## More pixels\n\n{table(head, rows)}"


def growth_with_connections(service: Service, seconds: float) -> str:
    """All cores, more and more clients."""
    photo = photos.jpeg(photos.two_faces())
    rows = []
    for connections in CONNECTIONS:
        load = put_under_load(f"{service.url}/predict", photo, connections, seconds)
        latencies = [f"{1000 * load.percentile(percent):.0f}" for percent in (50, 95, 99)]
        rows.append([str(connections), f"{load.rate:.1f}", *latencies])
    head = ["connections", "requests/s", "p50, ms", "p95, ms", "p99, ms"]
    return f"## More connections, {os.cpu_count()} workers\n\n{table(head, rows)}"


def median_seconds(call: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
