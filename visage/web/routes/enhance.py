"""The route that enlarges pictures."""

from flask import Blueprint, Response, current_app

from visage.images.encoding import MEDIA_TYPES
from visage.images.headers import read_header
from visage.web.cancellation import Wanted
from visage.web.parameters import read_picture_wish
from visage.web.photo_request import this_engine, this_request
from visage.web.responses import enlarged_answer
from visage.web.uploads import read_photo

blueprint = Blueprint("enhance", __name__)


@blueprint.post("/enhance")
def enhance() -> Response:
    """A picture in, the same enlarged out."""
    engine, request = this_engine(), this_request()
    photo = read_photo(request)
    wish = read_picture_wish(request, MEDIA_TYPES[read_header(photo).format])
    client, stopping = request.environ.get("gunicorn.socket"), current_app.extensions["stopping"]
    enhanced = engine.enhance(photo, Wanted(client, stopping, engine.enhancer))
    request.worked = enhanced
    return enlarged_answer(enhanced, engine.enhancer.pack, wish)
