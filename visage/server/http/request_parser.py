"""Bytes of one connection to requests. llhttp (Node.js's parser, in httptools) finds where each part ends."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from visage.errors import AddressTooLong, HeadersTooLong, RequestError, VisageError
from visage.server.http.head_check import NOT_HTTP, check_head
from visage.server.http.request import Request, RequestHead
from visage.server.http.request_body import RequestBody
from visage.settings import MAX_OVERHEAD_BYTES

# Headers, the lines of chunks and trailers together may have MAX_OVERHEAD_BYTES, plus as many as the body has so far.
# Each chunk counts for this many more, because reading it takes a microsecond, whatever its size. Lines of base64 have
# 76 bytes.
BYTES_PER_CHUNK = 64

# A client may send this many requests ahead, and heads of this many bytes in all, because no budget counts those that
# wait. Then the connection is closed after their responses.
MAX_PIPELINED = 16
MAX_PIPELINED_HEAD_BYTES = 2**16

# The parser gets the head of a request in pieces of this size, so that a head that is too long ends early.
_HEAD_PIECE_BYTES = 2**14

_FORBIDDEN_TRAILERS = (b"host", b"content-length", b"transfer-encoding", b"trailer", b"authorization", b"te")

# The end of a head. Empty lines before a request are none.
_HEAD_END = re.compile(rb"[^\r\n]\r\n\r\n")

_ORIGIN = re.compile(rb"\r\norigin:[ \t]*([!-~]+)[ \t]*\r\n", re.IGNORECASE)

# More than the longest Origin: a scheme, a host name of 253 characters (RFC 1035, 2.3.4), and a port.
_ORIGIN_BYTES = 2**10

_ADDRESS_TOO_LONG = "The address is too long; send a shorter one."
_TOO_LONG = "The headers are too long; send fewer or shorter ones."
_TINY_CHUNKS = "The chunks of the body are too small; send larger ones, or the body with its Content-Length."


class _EndOfPipeline(Exception):
    """Stops llhttp: the client has sent too many requests ahead."""


@dataclass(frozen=True)
class HeadLimits:
    """The limits of a head: bytes of the request line, number of headers, bytes of the line of each."""

    line_bytes: int = 4094
    headers: int = 100
    header_bytes: int = 8190


class RequestParser:
    """Takes the bytes of a connection in pieces of any size, and collects complete requests.

    Attributes:
        requests: The complete requests that nobody has taken yet.
        error: Why the bytes after these requests were rejected, if they were. Later bytes are ignored.
        head: The head of the request whose body is arriving, or that was rejected.
        has_begun: Whether a part of a request has arrived.
        has_ended: Whether no request can follow those in `requests`.
        body_bytes: The bytes of the body that is arriving.
        overhead_bytes: The other bytes of that request.
    """

    def __init__(self, open_body: Callable[[RequestHead], RequestBody], limits: HeadLimits | None = None) -> None:
        """Create a parser.

        Args:
            open_body: Returns an empty body for a head. It raises a VisageError to reject the request.
            limits: The limits of a head.
        """
        self.requests: deque[Request] = deque()
        self.error: VisageError | None = None
        self.head: RequestHead | None = None
        self.has_begun = self.has_ended = False
        self.body_bytes = self.overhead_bytes = self._chunks = 0
        self._open_body = open_body
        self._limits = limits or HeadLimits()
        self._body: RequestBody | None = None
        # What has arrived of it, and is not written.
        self._pieces: list[bytes] = []
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        # The last bytes of a head that is not complete.
        self._tail = bytearray()
        self._parser = HttpRequestParser(self)
        self._has_completed = self._is_restarting = self._exceeds_header_limits = False

    @property
    def expects_100_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        return self.head is not None and self.error is None and not self.body_bytes and self.head.expects_100_continue

    @property
    def known_head(self) -> RequestHead:
        """What is known of the request that is arriving, or that was rejected. Its target may be missing."""
        if self.head:
            return self.head
        # httptools reports a header when the next one begins. An error may come before.
        last = [("origin", origin.decode("latin-1")) for origin in _ORIGIN.findall(self._tail)[-1:]]
        return RequestHead("", b"", "1.1", (*self._headers, *last), keep_alive=False)

    def feed(self, data: bytes) -> None:
        """Add the next bytes. Invalid ones set `error`."""
        rest = memoryview(data)
        while rest and not self.has_ended:
            size = self._piece_bytes(rest)
            piece, rest = rest[:size], rest[size:]
            self._feed(piece)

    def close(self) -> None:
        """Free the bodies of all requests."""
        self.has_ended = True
        for body in (self._body, *(request.body for request in self.requests)):
            if body:
                body.close()
        self.requests.clear()

    def _piece_bytes(self, data: memoryview) -> int:
        """How many of the next bytes to parse at once: none behind this head or body, if its length is known.

        So a piece rarely has bytes of two requests, and what is kept of a head is its own.
        """
        if not self.head:
            # The end may have begun in an earlier piece.
            before = bytes(self._tail[-4:])
            end = _HEAD_END.search(before + data[:_HEAD_PIECE_BYTES])
            return end.end() - len(before) if end else _HEAD_PIECE_BYTES
        return self.head.content_length - self.body_bytes if self.head.content_length else len(data)

    def _feed(self, piece: memoryview) -> None:
        begun = self.has_begun
        body_before = self.body_bytes
        self._has_completed = False
        try:
            self._parse(piece)
            self._write_body()
        except VisageError as error:
            self._fail(error)
        except HttpParserError as error:
            self._tail += piece
            self._stop(error)
        else:
            self._keep_tail(piece)
        if self._has_completed:
            # Some of these bytes are the completed request's.
            self._tail.clear()
        if begun and not self._has_completed:
            self.overhead_bytes += len(piece) - (self.body_bytes - body_before)
            if self.overhead_bytes > MAX_OVERHEAD_BYTES + self.body_bytes and not self.has_ended:
                self._fail(self._excess())
        elif self.has_begun:
            self.overhead_bytes = max(0, min(len(piece), _HEAD_PIECE_BYTES) - self.body_bytes)

    def _stop(self, error: HttpParserError) -> None:
        """Set why llhttp has stopped. An exception of a method that it calls is the context of its own."""
        reason = error.__context__
        if isinstance(reason, VisageError):
            self._fail(reason)
        elif reason and not isinstance(reason, _EndOfPipeline):
            raise reason from None
        # A request with `Connection: close` was the last one, whatever follows it.
        elif not self.has_ended:
            self._fail(RequestError(NOT_HTTP))

    def _parse(self, piece: memoryview) -> None:
        """Have llhttp read `piece`. It stops after each head with Upgrade, which Visage ignores (RFC 9110, 7.8)."""
        while piece:
            try:
                self._parser.feed_data(piece)
            except HttpParserUpgrade as stop:
                rest = piece[stop.args[0] :]
            else:
                return
            if not self.head:
                # The request is complete, and it is the last one.
                self.has_ended = True
                return
            self._restart_before_body(self.head)
            piece = rest

    def _write_body(self) -> None:
        """Write the pieces together: a body may arrive in thousands of chunks at once."""
        if self._body and self._pieces:
            self._body.write(b"".join(self._pieces))
        self._pieces.clear()

    def _restart_before_body(self, head: RequestHead) -> None:
        """Begin with a new llhttp where the body of `head` begins, because the old one would skip the body."""
        framing = "Transfer-Encoding: chunked" if head.chunked else f"Content-Length: {head.content_length}"
        connection = "keep-alive" if head.keep_alive else "close"
        self._parser = HttpRequestParser(self)
        self._is_restarting = True
        self._parser.feed_data(f"POST / HTTP/1.1\r\nConnection: {connection}\r\n{framing}\r\n\r\n".encode())
        self._is_restarting = False

    def _excess(self) -> RequestError:
        """The error for too many bytes that are not the body."""
        if self.head:
            return RequestError(_TINY_CHUNKS)
        if len(self._target) > self._limits.line_bytes:
            return AddressTooLong(_ADDRESS_TOO_LONG)
        return HeadersTooLong(_TOO_LONG)

    def _fail(self, error: VisageError) -> None:
        self.error, self.has_ended = error, True
        self._pieces.clear()
        if self._body:
            self._body.close()

    def _keep_tail(self, piece: memoryview) -> None:
        """Keep the end of an incomplete head, which may have an Origin that httptools has not reported."""
        if self.has_begun and not self.head:
            self._tail += piece
            del self._tail[:-_ORIGIN_BYTES]
        else:
            self._tail.clear()

    # httptools calls the following methods.

    def on_message_begin(self) -> None:
        if self._is_restarting:
            return
        head_bytes = sum(request.head.size for request in self.requests)
        if len(self.requests) >= MAX_PIPELINED or head_bytes >= MAX_PIPELINED_HEAD_BYTES:
            self.has_ended = True
            raise _EndOfPipeline
        self.has_begun = True
        self.head, self._target, self._headers = None, b"", []
        self._exceeds_header_limits = False

    def on_url(self, url: bytes) -> None:
        # An address that is too long is rejected after the headers, so that the error can have its CORS headers.
        if not self._is_restarting and len(self._target) <= self._limits.line_bytes:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_restarting:
            return
        # As gunicorn counts it, but llhttp has skipped the blanks before the value.
        line_bytes = len(name) + len(": ") + len(value) + len("\r\n")
        if len(self._headers) >= self._limits.headers or line_bytes > self._limits.header_bytes:
            self._exceeds_header_limits = True
        if self.head:
            if self._exceeds_header_limits:
                raise HeadersTooLong(_TOO_LONG)
            # Trailers are ignored. Some clients and proxies would merge these into the headers (RFC 9110, 6.5.1).
            if name.lower() in _FORBIDDEN_TRAILERS:
                raise RequestError(NOT_HTTP)
            return
        # As for a long address: from a header that exceeds a limit on, only Origin is kept, for the CORS headers.
        if self._exceeds_header_limits and name.lower() != b"origin":
            return
        self._headers.append((name.lower().decode("latin-1"), value.strip(b" \t").decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._is_restarting:
            return
        if self._exceeds_header_limits:
            raise HeadersTooLong(_TOO_LONG)
        method, version = self._parser.get_method().decode(), self._parser.get_http_version()
        if len(f"{method}  HTTP/{version}") + len(self._target) > self._limits.line_bytes:
            raise AddressTooLong(_ADDRESS_TOO_LONG)
        head = RequestHead(method, self._target, version, tuple(self._headers), self._parser.should_keep_alive())
        check_head(head)
        self.head = head
        self._body = self._open_body(head)

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks * BYTES_PER_CHUNK > MAX_OVERHEAD_BYTES + self.body_bytes:
            raise RequestError(_TINY_CHUNKS)

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self.body_bytes += len(data)

    def on_message_complete(self) -> None:
        if self.head and self.head.has_body and self._parser.should_upgrade():
            # llhttp has skipped the body.
            return
        self._write_body()
        if self.head and self._body:
            self.requests.append(Request(self.head, self._body))
            self.has_ended = not self.head.keep_alive
        self.has_begun, self._has_completed = False, True
        self.head, self._body, self._headers = None, None, []
        self.body_bytes = self.overhead_bytes = self._chunks = 0
