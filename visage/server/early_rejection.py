"""Responses to requests that never reach Flask. They have the shape of every error, and are logged and counted."""

import json
from functools import lru_cache
from http import HTTPStatus

from visage.errors import BusyError, Unauthorized, VisageError
from visage.logs import logger
from visage.server.http.date import http_date
from visage.server.http.request import RequestHead
from visage.settings import Settings
from visage.web import metrics
from visage.web.origins import cors_headers

# Names and values.
Headers = tuple[tuple[str, str], ...]


def reject(error: VisageError, head: RequestHead, settings: Settings, *, keep_alive: bool = False) -> bytes:
    """Log and count a rejected request, and return the complete response.

    Args:
        error: Why the request is rejected.
        head: Its head, as far as it has arrived. Browsers hide an error without CORS headers for its Origin from pages.
        settings: The service's.
        keep_alive: Whether the connection stays open.
    """
    request_id = head.request_id
    logger.info("rejected", extra={"fields": {"request_id": request_id, "status": error.status, "code": error.code}})
    metrics.count_early_rejection(error)
    headers = (*_headers(error, keep_alive), *cors_headers(head.header("origin"), settings))
    before_id, after_id = _response_around_id(error.status, error.code, str(error), headers)
    return b"".join((before_id, request_id.encode(), b"\r\nDate: ", http_date().encode(), after_id))


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
    """The response before the request ID, and after it and the date."""
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
