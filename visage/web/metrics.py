"""Counts and times for Prometheus, summed over the workers that share `PROMETHEUS_MULTIPROC_DIR`."""

import os
import time
from functools import cache
from typing import TypeVar

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as as_text
from prometheus_client.multiprocess import MultiProcessCollector

from visage.batches.batch import Done, Result
from visage.engine import Analysis, Engine
from visage.enlarge import Enhanced
from visage.errors import VisageError
from visage.guard import Anonymized
from visage.web.request_body import this_request

Metric = TypeVar("Metric", Counter, Histogram)

# Seconds: an encoder takes one thousandth, a photo that waits as long as it may takes 5.
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("visage_requests_total", "Answers by route and status.", ["route", "status"])
REQUEST_SECONDS = Histogram("visage_request_seconds", "Time from a whole request to its answer.", ["route"])
STAGE_SECONDS = Histogram("visage_stage_seconds", "Time of each stage of a photo.", ["stage"], buckets=_STAGE_BUCKETS)
FACES = Counter("visage_faces_total", "Faces found.")
REFUSALS = Counter(
    "visage_refusals_total", "Requests that were refused on purpose, by the code of the error.", ["code"]
)
BATCH_FILES = Counter(
    "visage_batch_files_total", "Files of batches that were worked on beside this service.", ["outcome"]
)
CACHE_ANSWERS = Counter("visage_cache_answers_total", "Photos that the cache was asked for.", ["outcome"])
SLOTS = Gauge("visage_slots", "Photos that can be worked on at once.", multiprocess_mode="livesum")
SLOTS_BUSY = Gauge("visage_slots_busy", "Photos that are being worked on.", multiprocess_mode="livesum")
QUEUE_LENGTH = Gauge("visage_queue_length", "Photos that wait for a slot.", multiprocess_mode="livesum")
PACK = Gauge("visage_pack_info", "1 for the model pack that answers.", ["pack", "version"], multiprocess_mode="livemax")


def install(app: Flask) -> None:
    """Count and time every request of `app`, whose journal tells when each began."""

    @app.after_request
    def finish(response: Response) -> Response:
        request = this_request()
        if app.extensions["rehearses"]:
            return response
        if request.worked:
            _record(request.worked)
        # The rule, never the path that was asked for: strangers must not be able to add time series.
        route = request.url_rule.rule if request.url_rule else "unknown"
        _child(REQUESTS, route, str(response.status_code)).inc()
        _child(REQUEST_SECONDS, route).observe(time.perf_counter() - request.started)
        return response


def watch(engine: Engine) -> None:
    """Show what `engine` does; to be called in the process that answers, not in one that only forks it."""
    SLOTS.set(engine.settings.slots)
    PACK.labels(engine.pack.name, engine.pack.version).set(1)

    shown: dict[Gauge, int] = {}

    def show(working: int, waiting: int) -> None:
        for gauge, count in ((SLOTS_BUSY, working), (QUEUE_LENGTH, waiting)):
            if shown.get(gauge) != count:
                shown[gauge] = count
                gauge.set(count)

    engine.admission.watcher = show


def _record(worked: Analysis | Anonymized | Enhanced) -> None:
    """Count what a photo gave and cost."""
    if not isinstance(worked, Enhanced):
        FACES.inc(len(worked.faces))
    if isinstance(worked, Analysis) and "cache" in worked.seconds:
        CACHE_ANSWERS.labels("hit" if worked.cached else "miss").inc()
    for stage, seconds in worked.seconds.items():
        _child(STAGE_SECONDS, stage).observe(seconds)


@cache
def _child(metric: Metric, *labels: str) -> Metric:
    """The series of `metric` with these labels; few, and to ask the metric takes longer than to count."""
    return metric.labels(*labels)


def count_batch_file(result: Result) -> None:
    """Count what became of a file of a batch."""
    BATCH_FILES.labels("done" if isinstance(result, Done) else "failed").inc()


def count_refusal(error: VisageError) -> None:
    """Count what was refused on purpose."""
    REFUSALS.labels(error.code).inc()


def count_unrouted(error: VisageError) -> None:
    """Count a request that was refused before it had a route."""
    count_refusal(error)
    REQUESTS.labels("unknown", str(error.status)).inc()


def exposition() -> Response:
    """The answer to a scrape."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(as_text(registry), content_type=CONTENT_TYPE_LATEST)
