"""The answer to a request that never gets as far as the app: in the shape of every error, logged and counted as any."""

import json
from http import HTTPStatus

from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]

from visage.errors import AddressTooLong, BusyError, HeadersTooLong, RequestError
from visage.log import logger
from visage.web import metrics

_TOO_LONG = {http_errors.LimitRequestLine: AddressTooLong, http_errors.LimitRequestHeaders: HeadersTooLong}


def unreadable(reason: Exception) -> RequestError:
    """The error for a request that gunicorn's parser gave up on for this `reason`."""
    kind = _TOO_LONG.get(type(reason), RequestError)
    return kind("The request is no HTTP that can be read here; use a common client, such as curl.")


def refusal(error: RequestError | BusyError, request_id: str, *, keeps: bool = False) -> bytes:
    """A whole answer in the shape of every error, logged and counted; `keeps` tells whether the connection stays."""
    logger.info("refused", extra={"fields": {"request_id": request_id, "status": error.status, "code": error.code}})
    metrics.count_unrouted(error)
    body = json.dumps({"error": str(error), "code": error.code}).encode()
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
        f"Connection: {'keep-alive' if keeps else 'close'}",
    ]
    if isinstance(error, BusyError):
        lines.append(f"Retry-After: {error.retry_after}")
    return "\r\n".join([*lines, "", ""]).encode() + body
