"""Responses to requests that never reach Flask. They have the shape of every error, and are logged and counted."""

import json
from functools import lru_cache
from http import HTTPStatus

from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]

from visage.errors import AddressTooLong, BusyError, HeadersTooLong, RequestError, Unauthorized, VisageError
from visage.logs import logger
from visage.settings import Settings
from visage.web import metrics
from visage.web.origins import cors_headers

# Names and values.
Headers = tuple[tuple[str, str], ...]

_TOO_LONG = {http_errors.LimitRequestLine: AddressTooLong, http_errors.LimitRequestHeaders: HeadersTooLong}


def parse_error(reason: Exception) -> RequestError:
    """The error for a request that gunicorn's parser rejected for this `reason`."""
    error_class = _TOO_LONG.get(type(reason), RequestError)
    return error_class("The request is not valid HTTP; send it with a common client, such as curl.")


def reject(error: VisageError, request_id: str, origin: str, settings: Settings, *, keep_alive: bool = False) -> bytes:
    """Log and count a rejected request, and return the complete response.

    Args:
        error: Why the request is rejected.
        request_id: Its ID.
        origin: Its header Origin. Browsers hide an error without CORS headers from pages of other origins.
        settings: The service's.
        keep_alive: Whether the connection stays open.
    """
    logger.info("rejected", extra={"fields": {"request_id": request_id, "status": error.status, "code": error.code}})
    metrics.count_early_rejection(error)
    before_id, after_id = _response_around_id(
        error.status, error.code, str(error), (*_headers(error, keep_alive), *cors_headers(origin, settings))
    )
    return before_id + request_id.encode() + after_id


def _headers(error: VisageError, keep_alive: bool) -> Headers:
    headers: Headers = (("Connection", "keep-alive" if keep_alive else "close"),)
    if isinstance(error, Unauthorized):
        headers += (("WWW-Authenticate", "Bearer"),)
    if isinstance(error, BusyError):
        headers += (("Retry-After", str(error.retry_after)),)
    return headers


# Under overload, the same few responses are sent hundreds of times a second.
@lru_cache(maxsize=64)
def _response_around_id(status: int, code: str, message: str, headers: Headers) -> tuple[bytes, bytes]:
    """The response before the request ID, and after it."""
    body = json.dumps({"error": message, "code": code})
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in headers),
        "X-Request-ID: ",
    ]
    return "\r\n".join(lines).encode(), f"\r\n\r\n{body}".encode()
