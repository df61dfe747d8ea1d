"""Results as response bodies: JSON, a picture, or both; with the facts that logs and metrics report about them."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64
from flask import Response
from werkzeug.datastructures import Headers

from visage.anonymize.results import Anonymized
from visage.enhance.results import Enhanced
from visage.faces.results import Analysis
from visage.images.encoding import MEDIA_TYPES
from visage.packs.pack import Pack
from visage.web.parameters import Format, PictureFormat, PictureResponseOptions, ResponseOptions


@dataclass(frozen=True)
class ResultSummary:
    """What the request log and the metrics report about a result.

    `stages` maps each stage to its seconds. `faces` is None where no faces were searched. `cache` is "hit" or "miss";
    None without a result cache.
    """

    stages: Mapping[str, float]
    faces: int | None = None
    cache: str | None = None


class ServiceResponse(Response):
    """Every response of the app. `result` summarizes the result in it; `error_code` names the expected error in it."""

    result: ResultSummary | None = None
    error_code: str | None = None


class ResultResponse(ServiceResponse):
    """A response with a result, whose headers and bytes are complete: werkzeug would check, copy and wrap them."""

    def __init__(self, body: bytes, content_type: str, result: ResultSummary) -> None:
        super().__init__(body, content_type=content_type)
        self.headers["Vary"] = "Accept"
        self.result = result

    def get_wsgi_headers(self, environ: dict[str, Any]) -> Headers:  # noqa: ARG002
        return self.headers

    def get_app_iter(self, environ: dict[str, Any]) -> Iterable[bytes]:  # noqa: ARG002
        return self.response  # type: ignore[return-value]


def analysis_response(analysis: Analysis, pack: Pack, options: ResponseOptions) -> Response:
    """Return an analysis as `options` ask. It must have its annotated picture if `options.needs_picture`."""
    content, picture = analysis.as_json(pack), analysis.annotated
    cache = ("hit" if analysis.cached else "miss") if "cache" in analysis.seconds else None
    summary = ResultSummary(analysis.seconds, len(analysis.faces), cache)
    if options.format is Format.JSON or picture is None:
        return ResultResponse(_json(content, "annotated_jpeg", picture), "application/json", summary)
    if options.format is Format.BOTH:
        boundary = uuid.uuid4().hex
        return ResultResponse(_both(content, picture, boundary), f"multipart/mixed; boundary={boundary}", summary)
    response = ResultResponse(picture, "image/jpeg", summary)
    response.headers["X-Face-Count"] = str(len(analysis.faces))
    return response


def anonymized_response(anonymized: Anonymized, pack: Pack, options: PictureResponseOptions) -> Response:
    """Return an anonymized photo as `options` ask."""
    response = _picture_response(anonymized, pack, options, len(anonymized.faces))
    if options.format is PictureFormat.PICTURE:
        response.headers["X-Face-Count"] = str(anonymized.redacted)
        response.headers["X-Image-Depth"] = str(anonymized.depth)
    return response


def enhanced_response(enhanced: Enhanced, pack: Pack, options: PictureResponseOptions) -> Response:
    """Return an enhanced picture as `options` ask."""
    return _picture_response(enhanced, pack, options, None)


def _picture_response(
    changed: Anonymized | Enhanced, pack: Pack, options: PictureResponseOptions, faces: int | None
) -> Response:
    summary = ResultSummary(changed.seconds, faces)
    if options.format is PictureFormat.PICTURE:
        response = ResultResponse(changed.picture, MEDIA_TYPES[changed.format], summary)
        response.headers["X-Original-Format"] = changed.original_format
        return response
    content = _json(changed.as_json(pack), "picture", changed.picture if options.picture else None)
    return ResultResponse(content, "application/json", summary)


def _json(content: dict[str, Any], picture_name: str, picture: bytes | None) -> bytes:
    """Return JSON, with a picture as base64 in its last field; base64 needs no escaping, so it is inserted as it is."""
    text = orjson.dumps(content)
    if picture is None:
        return text
    return b"".join((text[:-1], f',"{picture_name}":"'.encode(), pybase64.b64encode(picture), b'"}'))


def _both(content: dict[str, Any], picture: bytes, boundary: str) -> bytes:
    """Return JSON and JPEG as the two raw parts of a multipart/mixed body (RFC 2046, 5.1.3)."""
    return b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/json\r\n\r\n".encode(),
            orjson.dumps(content),
            f"\r\n--{boundary}\r\nContent-Type: image/jpeg\r\n\r\n".encode(),
            picture,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
