"""Metrics for Prometheus, summed over the workers that share `PROMETHEUS_MULTIPROC_DIR`."""

import os
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from threading import Lock, Thread
from typing import TypeVar

from flask import Flask, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from visage.batches.results import Done, Result
from visage.errors import VisageError
from visage.logs import logger
from visage.runtime.engine import Engine
from visage.web.photo_request import this_request
from visage.web.responses import ResultSummary, ServiceResponse

Metric = TypeVar("Metric", Counter, Histogram)

# Seconds, from a fast encoder (1 ms) to twice the default of VISAGE_WAIT_SECONDS.
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("visage_requests_total", "Responses by route and status.", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "visage_request_duration_seconds", "Time from a complete request to its response.", ["route"]
)
STAGE_SECONDS = Histogram(
    "visage_stage_duration_seconds", "Time of each stage of a photo.", ["stage"], buckets=_STAGE_BUCKETS
)
FACES = Counter("visage_faces_total", "Faces found.")
REJECTIONS = Counter("visage_rejections_total", "Rejected requests by error code.", ["code"])
BATCH_FILES = Counter("visage_batch_files_total", "Files of batches by outcome.", ["outcome"])
CACHE_LOOKUPS = Counter("visage_cache_lookups_total", "Lookups in the result cache by outcome.", ["outcome"])
SLOTS = Gauge("visage_slots", "Photos that can be processed at once.", multiprocess_mode="livesum")
SLOTS_BUSY = Gauge("visage_slots_busy", "Photos in process.", multiprocess_mode="livesum")
QUEUE_LENGTH = Gauge("visage_queue_length", "Photos that wait for a slot.", multiprocess_mode="livesum")
PACK = Gauge("visage_pack_info", "1 for the model pack in use.", ["pack", "version"], multiprocess_mode="livemax")

# How stale the values of one worker may be when another is scraped. Updating them with every photo is slower, because
# the nets evict that code and data from the processor's caches.
_UPDATE_SECONDS = 0.25

# Pending requests beyond this number are counted at once; without a thread that updates, nothing else counts them.
_MAX_PENDING = 100


@dataclass(frozen=True)
class _Request:
    """What is counted of a request, without its picture, which would stay in memory until then."""

    route: str
    status: str
    seconds: float
    result: ResultSummary | None


_pending: deque[_Request] = deque()
_counting = Lock()

# False in a process without space for its counts, which must not touch them.
_enabled = True


def disable() -> None:
    """Count nothing in this process from now on."""
    global _enabled  # noqa: PLW0603
    _enabled = False


def init_app(app: Flask) -> None:
    """Count and time every request of `app`."""

    @app.after_request
    def record(response: ServiceResponse) -> ServiceResponse:
        if app.extensions["self_test"] or not _enabled:
            return response
        if response.error_code:
            # At once: a client that was rejected may ask another worker for the count.
            REJECTIONS.labels(response.error_code).inc()
        request = this_request()
        seconds = time.perf_counter() - request.started
        # A path in place of the route would let clients create any number of time series.
        route = request.route or "unknown"
        _pending.append(_Request(route, str(response.status_code), seconds, response.result))
        if len(_pending) >= _MAX_PENDING:
            _count_pending()
        return response


def set_engine_info(engine: Engine) -> None:
    """Set the metrics that describe `engine`. Call this in the process that serves, not in its master."""
    if not _enabled:
        return
    SLOTS.set(engine.settings.slots)
    PACK.labels(engine.pack.name, engine.pack.version).set(1)


def update(engine: Engine) -> None:
    """Count all pending requests, and set the gauges to the load of `engine`."""
    if not _enabled:
        return
    _count_pending()
    working, waiting = engine.admission.load
    SLOTS_BUSY.set(working)
    QUEUE_LENGTH.set(waiting)


def start_updates(engine: Engine) -> None:
    """Start a thread that updates the metrics regularly, because a scrape may reach another worker.

    The thread has its own clock: the main loop wakes when photos arrive, and would sample idle slots too often.
    """

    def update_forever() -> None:
        while True:
            time.sleep(_UPDATE_SECONDS)
            try:
                update(engine)
            except Exception:
                logger.exception("metrics_failed")

    Thread(target=update_forever, name="metrics", daemon=True).start()


def count_batch_file(result: Result) -> None:
    """Count a processed file of a batch."""
    if not _enabled:
        return
    BATCH_FILES.labels("done" if isinstance(result, Done) else "failed").inc()


def count_late(result: ResultSummary | None = None, code: str = "") -> None:
    """Count the result of a response, or the code of its error, that was only known after its head was sent."""
    if not _enabled:
        return
    if result:
        _count_result(result)
    if code:
        REJECTIONS.labels(code).inc()


def count_early_rejection(error: VisageError) -> None:
    """Count a request that was rejected before it reached the app."""
    if not _enabled:
        return
    REJECTIONS.labels(error.code).inc()
    REQUESTS.labels("unknown", str(error.status)).inc()


def metrics_response(engine: Engine) -> Response:
    """Return the metrics in Prometheus' text format, with those of `engine` up to date."""
    update(engine)
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _count_pending() -> None:
    with _counting:
        while _pending:
            _count(_pending.popleft())


def _count(request: _Request) -> None:
    if request.result:
        _count_result(request.result)
    _child(REQUESTS, request.route, request.status).inc()
    _child(REQUEST_SECONDS, request.route).observe(request.seconds)


def _count_result(result: ResultSummary) -> None:
    if result.faces is not None:
        FACES.inc(result.faces)
    if result.cache:
        CACHE_LOOKUPS.labels(result.cache).inc()
    for stage, seconds in result.stages.items():
        _child(STAGE_SECONDS, stage).observe(seconds)


@cache
def _child(metric: Metric, *labels: str) -> Metric:
    """Return the time series of `metric` with these labels; looking one up takes longer than counting."""
    return metric.labels(*labels)
