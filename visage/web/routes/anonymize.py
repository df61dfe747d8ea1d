"""The route that makes faces unrecognizable."""

from flask import Blueprint, Response

from visage.images.encoding import MEDIA_TYPES, written_format
from visage.images.headers import read_header
from visage.web.parameters import read_anonymize_options, read_anonymize_response_options
from visage.web.photo_request import this_engine, this_request
from visage.web.request_kinds import Kind, of_kind
from visage.web.responses import anonymized_response
from visage.web.uploads import read_photo

blueprint = Blueprint("anonymize", __name__)


@blueprint.post("/anonymize")
@of_kind(Kind.PHOTO)
def anonymize() -> Response:
    """Return the photo with its faces redacted."""
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    options = read_anonymize_options(request)
    response_options = read_anonymize_response_options(request, MEDIA_TYPES[written_format(read_header(photo).format)])
    return anonymized_response(engine.anonymize(photo, options), engine.pack, response_options)
