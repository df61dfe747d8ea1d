"""The route that enlarges pictures by super-resolution."""

from flask import Blueprint, Response, current_app

from visage.images.encoding import MEDIA_TYPES, written_format
from visage.images.headers import read_header
from visage.web.cancellation import Cancellation
from visage.web.parameters import read_enhance_options, read_picture_response_options
from visage.web.photo_request import this_engine, this_request
from visage.web.request_kinds import Kind, of_kind
from visage.web.responses import enhanced_response
from visage.web.uploads import read_photo

blueprint = Blueprint("enhance", __name__)


@blueprint.post("/enhance")
@of_kind(Kind.PHOTO)
def enhance() -> Response:
    """Return the enhanced picture."""
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    options = read_enhance_options(request)
    response_options = read_picture_response_options(request, MEDIA_TYPES[written_format(read_header(photo).format)])
    client, stopping = request.environ.get("visage.client"), current_app.extensions["stopping"]
    enhanced = engine.enhance(photo, Cancellation(client, stopping, engine.enhancer), options)
    return enhanced_response(enhanced, engine.enhancer.pack, response_options)
