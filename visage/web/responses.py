"""What was found or made as the body of an answer: JSON, the bare picture, or both."""

import uuid
from collections.abc import Iterable
from typing import Any

import orjson
import pybase64
from flask import Response
from werkzeug.datastructures import Headers

from visage.anonymize.results import Anonymized
from visage.enhance.results import Enhanced
from visage.images.encoding import MEDIA_TYPES
from visage.packs.pack import Pack
from visage.runtime.engine import Analysis
from visage.web.parameters import Format, PictureFormat, PictureWish


class Answer(Response):
    """One to a POST whose headers and bytes are complete: werkzeug would look them over, copy and wrap them."""

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:  # noqa: ARG002
        return self.headers

    def get_app_iter(self, environ: dict[str, Any]) -> Iterable[bytes]:  # noqa: ARG002
        return self.response  # type: ignore[return-value]


def answer(analysis: Analysis, pack: Pack, format: Format) -> Response:
    """The 200 for `analysis` in the wanted `format`; `Format.JPEG` and `Format.BOTH` need the annotated picture."""
    picture = analysis.annotated
    content = analysis.as_json(pack)
    if format is Format.JSON or picture is None:
        response = Answer(_with_picture(content, picture), content_type="application/json")
    elif format is Format.JPEG:
        response = Answer(picture, mimetype="image/jpeg")
        response.headers["X-Face-Count"] = str(len(analysis.faces))
    else:
        response = _both(content, picture)
    response.headers["Vary"] = "Accept"
    return response


def guard_answer(anonymized: Anonymized, pack: Pack, wish: PictureWish) -> Response:
    """The 200 for a photo whose faces are covered."""
    response = _made(anonymized, anonymized.as_json(pack), wish)
    if wish.format is PictureFormat.PICTURE:
        response.headers["X-Face-Count"] = str(anonymized.covered)
    return response


def enlarged_answer(enhanced: Enhanced, pack: Pack, wish: PictureWish) -> Response:
    """The 200 for a picture that was enlarged."""
    return _made(enhanced, enhanced.as_json(pack), wish)


def _made(made: Anonymized | Enhanced, content: dict[str, Any], wish: PictureWish) -> Response:
    """A picture that was made, as a file, or with what is to be told of it."""
    if wish.format is PictureFormat.JSON:
        picture = made.picture if wish.picture else None
        response = Answer(_with_picture(content, picture, "picture"), content_type="application/json")
    else:
        response = Answer(made.picture, mimetype=MEDIA_TYPES[made.format])
    response.headers["Vary"] = "Accept"
    return response


def _with_picture(content: dict[str, Any], picture: bytes | None, name: str = "annotated_jpeg") -> bytes:
    """JSON with the picture inside as base64, which needs no escaping: it is put in after the rest was encoded."""
    text = orjson.dumps(content)
    if picture is None:
        return text
    return b"".join((text[:-1], f',"{name}":"'.encode(), pybase64.b64encode(picture), b'"}'))


def _both(content: dict[str, Any], picture: bytes) -> Answer:
    """JSON and JPEG as the two raw parts of a multipart/mixed body (RFC 2046, 5.1.3)."""
    boundary = uuid.uuid4().hex
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode(),
            _with_picture(content, None),
            f"\r\n--{boundary}\r\nContent-Type: image/jpeg\r\n\r\n".encode(),
            picture,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    return Answer(body, content_type=f"multipart/mixed; boundary={boundary}")
