"""Traces for OpenTelemetry: a span for each request, and one below it for each stage of its photo.

They are sent if the packages of the extra `otel` are installed, and `OTEL_EXPORTER_OTLP_ENDPOINT` or
`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names a collector, over OTLP with HTTP. docs/operations.md lists the
other variables of OpenTelemetry that work.
"""

import os
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flask import Flask

from visage import __version__
from visage.logs import logger, request_id
from visage.web.photo_request import this_request
from visage.web.responses import ServiceResponse

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OFF = {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"}

# The trace of the current request, for its line in the log; empty if none is sent.
trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def init_app(app: Flask) -> None:
    """Trace every request of `app`, if a collector is configured."""
    off = any(os.environ.get(name, "").lower() == value for name, value in _OFF.items())
    if off or not any(map(os.environ.get, _ENDPOINTS)):
        return
    try:
        tracer = _set_up()
    except ModuleNotFoundError as error:
        hint = f"{error.name} is missing; for traces run: pip install 'visage-faces[otel]'"
        logger.warning("tracing_unavailable", extra={"fields": {"reason": hint}})
        return

    @app.after_request
    def record(response: ServiceResponse) -> ServiceResponse:
        if not app.extensions["self_test"]:
            _record(tracer, response)
        return response

    @app.teardown_request
    def clear_trace_id(_error: BaseException | None) -> None:
        trace_id.set("")


def _set_up() -> "Tracer":
    from opentelemetry import trace  # noqa: PLC0415 (optional, and slow to import)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    # Attributes from the code override those from the environment, unless they include them.
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": "visage", "service.version": __version__, **named})
    provider = TracerProvider(resource=resource)
    # It sends from a thread of its own, which it starts again in a forked process.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return trace.get_tracer("visage", __version__, tracer_provider=provider)


def _record(tracer: "Tracer", response: ServiceResponse) -> None:
    """Record the span of a request, below the one that its header `traceparent` names.

    It ends now, or with the last event of a response that is a stream.
    """
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.propagate import extract  # noqa: PLC0415

    request = this_request()
    # The path may have the ID of a batch, which gives access to it.
    route = request.route or "unknown"
    span = tracer.start_span(
        f"{request.method} {route}",
        context=extract(request.headers),
        kind=trace.SpanKind.SERVER,
        attributes={
            "http.request.method": request.method,
            "http.route": route,
            "http.response.status_code": response.status_code,
            "visage.request_id": request_id.get(),
        },
        start_time=time.time_ns() - _nanoseconds(time.perf_counter() - request.started),
    )
    context = span.get_span_context()
    if context.trace_flags.sampled:
        trace_id.set(trace.format_trace_id(context.trace_id))
    if response.mimetype == "text/event-stream":
        response.call_on_close(lambda: _end(tracer, span, response))
    else:
        _end(tracer, span, response)


def _end(tracer: "Tracer", span: "Span", response: ServiceResponse) -> None:
    """End the span of a request with what its response reports.

    Stages have their length, one after the other until now: the time between them is small.
    """
    from opentelemetry import trace  # noqa: PLC0415

    ended = time.time_ns()
    if response.error_code:
        span.set_attribute("error.type", response.error_code)
    result = response.result
    if result and result.faces is not None:
        span.set_attribute("visage.faces", result.faces)
    below = trace.set_span_in_context(span)
    stages = result.stages if result else {}
    stage_started = ended - _nanoseconds(sum(stages.values()))
    for stage, seconds in stages.items():
        child = tracer.start_span(stage, context=below, start_time=stage_started)
        stage_started += _nanoseconds(seconds)
        child.end(stage_started)
    if response.status_code >= 500:
        span.set_status(trace.StatusCode.ERROR)
    span.end(ended)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
