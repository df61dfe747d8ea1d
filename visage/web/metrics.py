"""Counts and times for Prometheus, summed over the workers that share `PROMETHEUS_MULTIPROC_DIR`."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as as_text
from prometheus_client.multiprocess import MultiProcessCollector

from visage.engine import Analysis

REQUESTS = Counter("visage_requests_total", "Answers by route and status.", ["route", "status"])
REQUEST_SECONDS = Histogram("visage_request_seconds", "Time from the headers to the answer.", ["route"])
STAGE_SECONDS = Histogram("visage_stage_seconds", "Time of each stage of a photo.", ["stage"])
FACES = Counter("visage_faces_total", "Faces found.")
IN_FLIGHT = Gauge("visage_photos_in_flight", "Photos waiting or worked on.", multiprocess_mode="livesum")


def install(app: Flask) -> None:
    """Count and time every request of `app`."""

    @app.before_request
    def begin() -> None:
        g.metrics_started = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        # The rule, never the path that was asked for: strangers must not be able to add time series.
        route = request.url_rule.rule if request.url_rule else "unknown"
        REQUESTS.labels(route, str(response.status_code)).inc()
        REQUEST_SECONDS.labels(route).observe(time.perf_counter() - g.metrics_started)
        return response


@contextmanager
def photo_in_flight() -> Iterator[None]:
    """Count a photo as in flight meanwhile."""
    IN_FLIGHT.inc()
    try:
        yield
    finally:
        IN_FLIGHT.dec()


def record(analysis: Analysis) -> None:
    """Count what a photo gave and cost."""
    FACES.inc(len(analysis.faces))
    for stage, seconds in analysis.seconds.items():
        STAGE_SECONDS.labels(stage).observe(seconds)


def count_refusal(status: int) -> None:
    """Count a request that was answered before it had a route."""
    REQUESTS.labels("unknown", str(status)).inc()


def exposition() -> Response:
    """The answer to a scrape."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(as_text(registry), content_type=CONTENT_TYPE_LATEST)
