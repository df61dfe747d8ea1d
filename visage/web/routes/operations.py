"""The routes for operators: health and metrics."""

from flask import Blueprint, Response, jsonify

from visage.errors import NotReady
from visage.web import metrics
from visage.web.photo_request import this_engine

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process lives."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Warm, and able to answer photos."""
    if not this_engine().ready:
        raise NotReady("The nets are still being warmed up; try again in a second.")
    return jsonify(status="ready", pack=this_engine().pack.name)


@blueprint.get("/metrics")
def metrics_text() -> Response:
    """What Prometheus scrapes."""
    return metrics.exposition(this_engine())
