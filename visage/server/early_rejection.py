"""The answer to a request that never gets as far as the app: in the shape of every error, logged and counted as any."""

import json
from functools import lru_cache
from http import HTTPStatus

from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]

from visage.errors import AddressTooLong, BusyError, HeadersTooLong, RequestError, VisageError
from visage.logs import logger
from visage.web import metrics

_TOO_LONG = {http_errors.LimitRequestLine: AddressTooLong, http_errors.LimitRequestHeaders: HeadersTooLong}


def unreadable(reason: Exception) -> RequestError:
    """The error for a request that gunicorn's parser gave up on for this `reason`."""
    kind = _TOO_LONG.get(type(reason), RequestError)
    return kind("The request is no HTTP that can be read here; use a common client, such as curl.")


def refusal(error: VisageError, request_id: str, *, keeps: bool = False) -> bytes:
    """A whole answer in the shape of every error, logged and counted; `keeps` tells whether the connection stays."""
    logger.info("refused", extra={"fields": {"request_id": request_id, "status": error.status, "code": error.code}})
    metrics.count_unrouted(error)
    retry_after = error.retry_after if isinstance(error, BusyError) else None
    before, after = _around_id(error.status, error.code, str(error), retry_after, keeps)
    return before + request_id.encode() + after


# Under overload the same few answers are given hundreds of times a second, by a processor with other things to do.
@lru_cache(maxsize=64)
def _around_id(status: int, code: str, sentence: str, retry_after: int | None, keeps: bool) -> tuple[bytes, bytes]:
    """The answer up to the request id and from there."""
    body = json.dumps({"error": sentence, "code": code})
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        f"Connection: {'keep-alive' if keeps else 'close'}",
    ]
    if status == HTTPStatus.UNAUTHORIZED:
        lines.append("WWW-Authenticate: Bearer")
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after}")
    return "\r\n".join([*lines, "X-Request-ID: "]).encode(), f"\r\n\r\n{body}".encode()
