"""The routes that find and describe faces."""

from flask import Blueprint, Response

from visage.web.parameters import Format, read_analyze_options, read_response_options
from visage.web.photo_request import this_engine, this_request
from visage.web.request_kinds import Kind, of_kind
from visage.web.responses import analysis_response
from visage.web.uploads import read_photo

blueprint = Blueprint("faces", __name__)


@blueprint.post("/predict")
@of_kind(Kind.PHOTO)
def predict() -> Response:
    """Return the faces in a photo, as JSON by default."""
    return _analyze(Format.JSON)


@blueprint.post("/analyze")
@of_kind(Kind.PHOTO)
def analyze() -> Response:
    """Return the faces in a photo, as the annotated picture by default."""
    return _analyze(Format.JPEG)


def _analyze(default: Format) -> Response:
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    options = read_analyze_options(request)
    response_options = read_response_options(request, default)
    analysis = engine.analyze(photo, options, annotated=response_options.needs_picture)
    return analysis_response(analysis, engine.pack, response_options)
