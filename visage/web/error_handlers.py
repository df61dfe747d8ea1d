"""Every error as the same JSON: `{"error": sentence, "code": name}`."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException

from visage.errors import BatchError, BusyError, ImageTooLarge, RequestError, Unauthorized
from visage.json_types import as_json_types
from visage.logs import cause, logger
from visage.web.responses import ServiceResponse

# Errors of Flask itself, by status.
_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {
    404: "There is nothing at this URL; GET /openapi.json lists the routes.",
    405: "This route does not allow this method; the Allow header lists those that it allows.",
    416: "The file ends before this range; the Content-Range header has its length.",
}
_UNEXPECTED = "The service failed unexpectedly; try again, and report the request ID if the error persists."
_UNEXPECTED_CODE = "internal_error"


@dataclass(frozen=True)
class ErrorJson:
    """What is wrong."""

    error: str
    """What is wrong and what to do, in one sentence."""
    code: str
    """A stable name for programs."""
    max_scale: float | None = None
    """The largest `scale` at which the picture can be enlarged; only if it is too large for another."""


def init_app(app: Flask) -> None:
    """Make `app` return every exception as JSON; details of unexpected ones go to the log only."""
    for kind in (RequestError, BatchError, BusyError):
        app.register_error_handler(kind, _expected)
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _unexpected)


def error_json(error: Exception) -> ErrorJson:
    """Return what a client learns of an error once its response has begun; details of unexpected ones are logged."""
    if isinstance(error, RequestError | BatchError | BusyError):
        return ErrorJson(str(error), error.code)
    logger.error(_UNEXPECTED_CODE, exc_info=error)
    return ErrorJson(_UNEXPECTED, _UNEXPECTED_CODE)


def _expected(error: RequestError | BatchError | BusyError) -> ServiceResponse:
    if isinstance(error, BatchError) and error.__cause__:
        logger.warning(error.code, extra={"fields": {"reason": cause(error)}})
    max_scale = error.max_scale if isinstance(error, ImageTooLarge) else None
    response = _error_response(str(error), error.code, error.status, max_scale)
    response.error_code = error.code
    if isinstance(error, BusyError):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_exception(error: HTTPException) -> ServiceResponse:
    status = error.code or 500
    if status >= 500:
        return _unexpected(error)
    sentence = _SENTENCES.get(status, "The request is invalid; GET /openapi.json describes valid ones.")
    response = _error_response(sentence, _CODES.get(status, "bad_request"), status)
    for name, value in error.get_headers():
        # werkzeug's is that of its page.
        if name != "Content-Type":
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> ServiceResponse:
    content = error_json(error)
    return _error_response(content.error, content.code, 500)


def _error_response(sentence: str, code: str, status: int, max_scale: float | None = None) -> ServiceResponse:
    response = cast(ServiceResponse, jsonify(as_json_types(ErrorJson(sentence, code, max_scale))))
    response.status_code = status
    return response
