"""The route that covers faces."""

from flask import Blueprint, Response

from visage.images.encoding import MEDIA_TYPES
from visage.images.headers import read_header
from visage.web.parameters import read_guard_options, read_picture_wish
from visage.web.photo_request import this_engine, this_request
from visage.web.responses import guard_answer
from visage.web.uploads import read_photo

blueprint = Blueprint("anonymize", __name__)


@blueprint.post("/anonymize")
def anonymize() -> Response:
    """A photo in, the same with its faces covered out."""
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    options = read_guard_options(request)
    wish = read_picture_wish(request, MEDIA_TYPES[read_header(photo).format])
    anonymized = engine.anonymize(photo, options)
    request.worked = anonymized
    return guard_answer(anonymized, engine.pack, wish)
