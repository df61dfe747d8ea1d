"""The routes."""

from flask import Blueprint, Response, current_app, jsonify

from visage.engine import Engine
from visage.errors import NotReady
from visage.image_headers import read_header
from visage.images import MEDIA_TYPES
from visage.web import metrics
from visage.web.answers import answer, enlarged_answer, guard_answer
from visage.web.docs import docs_page
from visage.web.parameters import Format, read_guard_options, read_picture_wish, read_wish
from visage.web.request_body import read_photo, this_request
from visage.web.wanted import Wanted

blueprint = Blueprint("photos", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """A photo in, its faces out: JSON unless something else is asked for."""
    return _analyze(Format.JSON)


@blueprint.post("/analyze")
def analyze() -> Response:
    """The same, with the annotated picture unless something else is asked for."""
    return _analyze(Format.JPEG)


@blueprint.post("/anonymize")
def anonymize() -> Response:
    """A photo in, the same with its faces covered out."""
    engine, request = _engine(), this_request()
    photo = read_photo(request)
    options = read_guard_options(request)
    wish = read_picture_wish(request, MEDIA_TYPES[read_header(photo).format])
    anonymized = engine.anonymize(photo, options)
    request.worked = anonymized
    return guard_answer(anonymized, engine.pack, wish)


@blueprint.post("/enhance")
def enhance() -> Response:
    """A picture in, the same enlarged out."""
    engine, request = _engine(), this_request()
    photo = read_photo(request)
    wish = read_picture_wish(request, MEDIA_TYPES[read_header(photo).format])
    client, stopping = request.environ.get("gunicorn.socket"), current_app.extensions["stopping"]
    enhanced = engine.enhance(photo, Wanted(client, stopping, engine.enhancer))
    request.worked = enhanced
    return enlarged_answer(enhanced, engine.enhancer.pack, wish)


@blueprint.get("/healthz")
def healthz() -> Response:
    """The process lives."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Warm, and able to answer photos."""
    if not _engine().ready:
        raise NotReady("The nets are still being warmed up; try again in a second.")
    return jsonify(status="ready", pack=_engine().pack.name)


@blueprint.get("/metrics")
def metrics_text() -> Response:
    """What Prometheus scrapes."""
    return metrics.exposition(_engine())


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The contract of this service."""
    return _packaged("openapi.json", "application/json")


@blueprint.get("/")
def page() -> Response:
    """The page: look at faces, cover them, or both as the camera sees them."""
    return _packaged("page.html", "text/html; charset=utf-8")


@blueprint.get("/docs")
def docs() -> str:
    """The contract for readers."""
    return docs_page()


def _analyze(default: Format) -> Response:
    engine, request = _engine(), this_request()
    photo = read_photo(request)
    wish = read_wish(request, default)
    wants_picture = wish.annotated or wish.format is not Format.JSON
    analysis = engine.analyze(photo, wish.options, annotated=wants_picture)
    request.worked = analysis
    return answer(analysis, engine.pack, wish.format)


def _engine() -> Engine:
    engine: Engine = current_app.extensions["engine"]
    return engine


def _packaged(name: str, content_type: str) -> Response:
    """A file that comes with the package, read once an app."""
    cache = current_app.extensions.setdefault("packaged_files", {})
    if name not in cache:
        with current_app.open_resource(name) as file:
            cache[name] = file.read()
    return Response(cache[name], content_type=content_type)
