"""The routes that find and describe faces."""

from flask import Blueprint, Response

from visage.web.parameters import Format, read_wish
from visage.web.photo_request import this_engine, this_request
from visage.web.responses import answer
from visage.web.uploads import read_photo

blueprint = Blueprint("faces", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """A photo in, its faces out: JSON unless something else is asked for."""
    return _analyze(Format.JSON)


@blueprint.post("/analyze")
def analyze() -> Response:
    """The same, with the annotated picture unless something else is asked for."""
    return _analyze(Format.JPEG)


def _analyze(default: Format) -> Response:
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    wish = read_wish(request, default)
    wants_picture = wish.annotated or wish.format is not Format.JSON
    analysis = engine.analyze(photo, wish.options, annotated=wants_picture)
    request.worked = analysis
    return answer(analysis, engine.pack, wish.format)
