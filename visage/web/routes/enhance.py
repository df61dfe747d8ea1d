"""The route that enlarges pictures by super-resolution."""

from flask import Blueprint, Response, current_app

from visage.images.encoding import MEDIA_TYPES, written_format
from visage.images.headers import read_header
from visage.web.cancellation import Cancellation
from visage.web.enhancement_events import enhancement_events
from visage.web.parameters import PictureFormat, read_enhance_options, read_enhance_response_options
from visage.web.photo_request import this_engine, this_request
from visage.web.request_kinds import Kind, of_kind
from visage.web.responses import enhanced_response
from visage.web.uploads import read_photo

blueprint = Blueprint("enhance", __name__)


@blueprint.post("/enhance")
@of_kind(Kind.PHOTO)
def enhance() -> Response:
    """Return the enhanced picture, or the progress and the picture as events."""
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    options = read_enhance_options(request)
    response_options = read_enhance_response_options(request, MEDIA_TYPES[written_format(read_header(photo).format)])
    client, stopping = request.environ.get("visage.client"), current_app.extensions["stopping"]
    cancellation, pack = Cancellation(client, stopping, engine.enhancer), engine.enhancer.pack
    if response_options.format is PictureFormat.EVENTS:
        steps = engine.enhance_in_steps(photo, options)
        return enhancement_events(steps, cancellation, pack, picture=response_options.picture)
    return enhanced_response(engine.enhance(photo, cancellation, options), pack, response_options)
