"""Requests in bytes, and a parser that keeps every body in memory."""

from visage.server.http.request import RequestHead
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.server.http.request_parser import RequestParser

HEAD = b"POST /predict HTTP/1.1\r\nHost: here\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
FORM = HEAD + b"Content-Length: 11\r\n\r\nhello world"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n"


def in_memory(_head: RequestHead) -> RequestBody:
    return RequestBody(BufferBudget())


def parsed(data: bytes, step: int | None = None) -> RequestParser:
    """A parser that got `data` in pieces of `step` bytes, or at once."""
    parser = RequestParser(in_memory)
    for start in range(0, len(data), step or len(data)):
        parser.feed(data[start : start + (step or len(data))])
    return parser


def bodies(parser: RequestParser) -> list[bytes]:
    return [request.body.open().read() for request in parser.requests]
