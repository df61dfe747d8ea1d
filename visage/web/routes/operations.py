"""The routes for operators: health and metrics."""

from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, Response, jsonify

from visage.errors import NotReady
from visage.web import metrics
from visage.web.parameters import without_parameters
from visage.web.photo_request import this_engine


@dataclass(frozen=True)
class HealthJson:
    """The process is running."""

    status: Literal["ok"]


@dataclass(frozen=True)
class ReadinessJson:
    """The service accepts photos."""

    status: Literal["ready"]
    pack: str
    """Name of the model pack."""


blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Return 200 while the process runs."""
    return jsonify(HealthJson("ok"))


@blueprint.get("/readyz")
def readyz() -> Response:
    """Return 200 once the nets are warm, 503 before."""
    if not this_engine().ready:
        raise NotReady("The nets are being warmed up; try again in a second.")
    return jsonify(ReadinessJson("ready", this_engine().pack.name))


@blueprint.get("/metrics")
@without_parameters
def metrics_text() -> Response:
    """Return the metrics for Prometheus."""
    return metrics.metrics_response(this_engine())
