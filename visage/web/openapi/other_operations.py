"""The operations for operators and readers, one row each."""

from visage.web.openapi import errors, samples
from visage.web.openapi.media import JSON
from visage.web.openapi.operation import Operation, Success, json_content

_PUBLIC = (errors.HOST_NOT_ALLOWED,)

OTHER_OPERATIONS = (
    Operation(
        "get",
        "/healthz",
        "healthz",
        "The process is running.",
        (Success("The process is running.", json_content("Health", {"status": "ok"})),),
        _PUBLIC,
        needs_token=False,
    ),
    Operation(
        "get",
        "/readyz",
        "readyz",
        "The nets are warm, and the service accepts photos.",
        (
            Success(
                "The nets are warm, and the service accepts photos.",
                json_content("Readiness", {"status": "ready", "pack": "compact"}),
            ),
        ),
        (*_PUBLIC, errors.NOT_READY),
        needs_token=False,
    ),
    Operation(
        "get",
        "/metrics",
        "metrics",
        "Metrics for Prometheus, summed over the workers.",
        (
            Success(
                "Metrics for Prometheus, summed over the workers.",
                {"text/plain": {"schema": {"type": "string"}, "example": samples.METRICS}},
            ),
        ),
        (*_PUBLIC, errors.UNAUTHORIZED, errors.BAD_REQUEST),
    ),
    Operation(
        "get",
        "/openapi.json",
        "openapi",
        "This document.",
        (
            Success(
                "This document.", {JSON: {"schema": {"type": "object"}, "example": {"openapi": "3.1.0", "paths": {}}}}
            ),
        ),
        _PUBLIC,
        needs_token=False,
    ),
    Operation(
        "get",
        "/",
        "page",
        "The web page.",
        (Success("The web page.", {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>"}}),),
        _PUBLIC,
        needs_token=False,
    ),
    Operation(
        "get",
        "/docs",
        "docs",
        "This document as a web page.",
        (
            Success(
                "This document as a web page.",
                {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>"}},
            ),
        ),
        _PUBLIC,
        needs_token=False,
    ),
)
