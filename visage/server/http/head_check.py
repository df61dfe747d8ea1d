"""Checks of a request's head that llhttp leaves to its users."""

from httptools import HttpParserError, parse_url

from visage.errors import RequestError
from visage.server.http.request import RequestHead

# Headers of which a second one would make the request ambiguous (RFC 9110, 5.3). llhttp knows about the length.
_SINGLE_HEADERS = ("host", "content-type", "authorization")

# Enough for 2**64. Proxies and servers have failed over more digits, and nobody needs them.
_MAX_LENGTH_DIGITS = 20

NOT_HTTP = "The request is not valid HTTP; send it with a common client, such as curl."
_AMBIGUOUS = "The request has two headers {name!r}; send one."


def check_head(head: RequestHead) -> None:
    """Check a complete head.

    Raises:
        RequestError: the head is invalid or ambiguous.
    """
    if head.repeats_headers:
        names = [name for name, _ in head.headers]
        for name in _SINGLE_HEADERS:
            if names.count(name) > 1:
                raise RequestError(_AMBIGUOUS.format(name=name))
    # RFC 9112, 6.1: a server that knows no other coding rejects it, and HTTP/1.0 knows none.
    codings = [value.lower() for name, value in head.headers if name == "transfer-encoding"]
    if head.version not in {"1.0", "1.1"} or (codings and (codings != ["chunked"] or head.version == "1.0")):
        raise RequestError(NOT_HTTP)
    if head.method == "CONNECT":
        raise RequestError("This service is not a proxy; send the request without CONNECT.")
    # RFC 9112, 3.2.4: `*` is for OPTIONS only, and begins no address.
    if head.target.startswith(b"*") and (head.method, head.target) != ("OPTIONS", b"*"):
        raise RequestError(NOT_HTTP)
    if len(head.header("content-length")) > _MAX_LENGTH_DIGITS:
        raise RequestError(NOT_HTTP)
    if any(name == "expect" and value.lower() != "100-continue" for name, value in head.headers):
        raise RequestError("The header Expect may be 100-continue only; send the request without it.")
    try:
        parse_url(head.target)
    except HttpParserError:
        raise RequestError(NOT_HTTP) from None
