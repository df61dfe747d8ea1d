"""Responses to requests that never reach Flask. They have the shape of every error, and are logged and counted."""

import json
from functools import lru_cache
from http import HTTPStatus

from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]

from visage.errors import AddressTooLong, BusyError, HeadersTooLong, RequestError, VisageError
from visage.logs import logger
from visage.web import metrics

_TOO_LONG = {http_errors.LimitRequestLine: AddressTooLong, http_errors.LimitRequestHeaders: HeadersTooLong}


def parse_error(reason: Exception) -> RequestError:
    """The error for a request that gunicorn's parser rejected for this `reason`."""
    error_class = _TOO_LONG.get(type(reason), RequestError)
    return error_class("The request is not valid HTTP; send it with a common client, such as curl.")


def reject(error: VisageError, request_id: str, *, keep_alive: bool = False) -> bytes:
    """Log and count a rejected request, and return the complete response. `keep_alive` sets its Connection header."""
    logger.info("rejected", extra={"fields": {"request_id": request_id, "status": error.status, "code": error.code}})
    metrics.count_early_rejection(error)
    retry_after = error.retry_after if isinstance(error, BusyError) else None
    before_id, after_id = _response_around_id(error.status, error.code, str(error), retry_after, keep_alive)
    return before_id + request_id.encode() + after_id


# Under overload, the same few responses are sent hundreds of times a second.
@lru_cache(maxsize=64)
def _response_around_id(
    status: int, code: str, message: str, retry_after: int | None, keep_alive: bool
) -> tuple[bytes, bytes]:
    """The response before the request ID, and after it."""
    body = json.dumps({"error": message, "code": code})
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        lines.append("WWW-Authenticate: Bearer")
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after}")
    return "\r\n".join([*lines, "X-Request-ID: "]).encode(), f"\r\n\r\n{body}".encode()
