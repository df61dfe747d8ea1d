"""Counts and times for Prometheus, summed over the workers that share `PROMETHEUS_MULTIPROC_DIR`."""

import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock, Thread
from typing import TypeVar

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as as_text
from prometheus_client.multiprocess import MultiProcessCollector

from visage.batches.batch import Done, Result
from visage.enhance.results import Enhanced
from visage.errors import VisageError
from visage.logs import logger
from visage.runtime.engine import Analysis, Engine
from visage.web.photo_request import this_request

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

# How old what one worker tells of another may be. Counts and gauges are not written with every photo: nets leave
# nothing of what writes them in the processor's caches (benchmarks/README.md).
_ROUND_SECONDS = 0.25

# Where nobody asks, and no thread counts, so many answers wait to be counted.
_MOST_UNCOUNTED = 100


@dataclass(frozen=True)
class _Answered:
    """What is counted of an answer: not its picture, which would stay in memory until then."""

    route: str
    status: str
    seconds: float
    stages: Mapping[str, float]
    # None where there was nothing to find, or no cache to ask.
    faces: int | None
    cache: str | None


_uncounted: deque[_Answered] = deque()
_counting = Lock()


def install(app: Flask) -> None:
    """Count and time every request of `app`, whose journal tells when each began."""

    @app.after_request
    def finish(response: Response) -> Response:
        request = this_request()
        if app.extensions["self_test"]:
            return response
        worked = request.worked
        answered = _Answered(
            # The rule, never the path that was asked for: strangers must not be able to add time series.
            route=request.url_rule.rule if request.url_rule else "unknown",
            status=str(response.status_code),
            seconds=time.perf_counter() - request.started,
            stages=worked.seconds if worked else {},
            faces=None if worked is None or isinstance(worked, Enhanced) else len(worked.faces),
            cache=_outcome(worked) if isinstance(worked, Analysis) else None,
        )
        _uncounted.append(answered)
        if len(_uncounted) >= _MOST_UNCOUNTED:
            _count_all()
        return response


def introduce(engine: Engine) -> None:
    """Tell what `engine` is; to be called in the process that answers, not in one that only forks it."""
    SLOTS.set(engine.settings.slots)
    PACK.labels(engine.pack.name, engine.pack.version).set(1)


def bring_up_to_date(engine: Engine) -> None:
    """Count what was answered so far, and show what `engine` does."""
    _count_all()
    working, waiting = engine.admission.load
    SLOTS_BUSY.set(working)
    QUEUE_LENGTH.set(waiting)


def keep_up_to_date(engine: Engine) -> None:
    """Have a thread do so from now on, because other processes are asked too.

    At times of its own: the main loop wakes when photos come, and would see slots idle that rarely are.
    """

    def go_on() -> None:
        while True:
            time.sleep(_ROUND_SECONDS)
            try:
                bring_up_to_date(engine)
            except Exception:
                logger.exception("metrics_failed")

    Thread(target=go_on, name="metrics", daemon=True).start()


def _count_all() -> None:
    with _counting:
        while _uncounted:
            _count(_uncounted.popleft())


def _count(answered: _Answered) -> None:
    if answered.faces is not None:
        FACES.inc(answered.faces)
    if answered.cache:
        CACHE_ANSWERS.labels(answered.cache).inc()
    for stage, seconds in answered.stages.items():
        _child(STAGE_SECONDS, stage).observe(seconds)
    _child(REQUESTS, answered.route, answered.status).inc()
    _child(REQUEST_SECONDS, answered.route).observe(answered.seconds)


def _outcome(analysis: Analysis) -> str | None:
    """What the cache knew of a photo, if it was asked."""
    if "cache" not in analysis.seconds:
        return None
    return "hit" if analysis.cached else "miss"


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


def exposition(engine: Engine) -> Response:
    """The answer to a scrape, in the process that answers with `engine`."""
    bring_up_to_date(engine)
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(as_text(registry), content_type=CONTENT_TYPE_LATEST)
