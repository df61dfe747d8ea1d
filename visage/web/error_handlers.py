"""Every failure as the one error shape: `{"error": sentence, "code": name}`."""

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from visage.errors import BatchError, BusyError, RequestError, Unauthorized
from visage.logs import cause, logger
from visage.web import metrics
from visage.web.photo_request import this_request

# What Flask itself refuses, by status.
_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {
    404: "There is nothing at this address; GET /openapi.json tells what there is.",
    405: "This method is not possible here; the Allow header names those that are.",
}


def install(app: Flask) -> None:
    """Have `app` answer every exception in this shape, with no detail of an unforeseen one outside the log."""
    for kind in (RequestError, BatchError, BusyError):
        app.register_error_handler(kind, _foreseen)
    app.register_error_handler(HTTPException, _of_flask)
    app.register_error_handler(Exception, _unforeseen)


def _foreseen(error: RequestError | BatchError | BusyError) -> Response:
    metrics.count_refusal(error)
    if isinstance(error, BatchError) and error.__cause__:
        logger.warning(error.code, extra={"fields": {"reason": cause(error)}})
    this_request().refused = error.code
    response = _shape(str(error), error.code, error.status)
    if isinstance(error, BusyError):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _of_flask(error: HTTPException) -> Response:
    status = error.code or 500
    if status >= 500:
        return _unforeseen(error)
    sentence = _SENTENCES.get(status, "The request cannot be understood; GET /openapi.json tells what is expected.")
    response = _shape(sentence, _CODES.get(status, "bad_request"), status)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def _unforeseen(error: Exception) -> Response:
    logger.error("internal_error", exc_info=error)
    return _shape("Something went wrong here; try again, and report the request id if it stays.", "internal_error", 500)


def _shape(sentence: str, code: str, status: int) -> Response:
    response = jsonify(error=sentence, code=code)
    response.status_code = status
    return response
