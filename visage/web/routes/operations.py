"""The routes for operators: health and metrics."""

from flask import Blueprint, Response, jsonify

from visage.errors import NotReady
from visage.web import metrics
from visage.web.photo_request import this_engine

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Return 200 while the process runs."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Return 200 once the nets are warm, 503 before."""
    if not this_engine().ready:
        raise NotReady("The nets are being warmed up; try again in a second.")
    return jsonify(status="ready", pack=this_engine().pack.name)


@blueprint.get("/metrics")
def metrics_text() -> Response:
    """Return the metrics for Prometheus."""
    return metrics.metrics_response(this_engine())
