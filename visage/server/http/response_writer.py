"""WSGI's `start_response`: the head of a response, and its body with a length or in chunks (PEP 3333, RFC 9112)."""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from visage.server.http.date import http_date
from visage.server.http.request import RequestHead

# A status line's code and phrase, a header's name and its value (RFC 9110, 5.5 and 5.6.2).
_STATUS = re.compile(r"(\d{3}) [\t -~\x80-\xff]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")

# The server decides on these itself.
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}

_Headers = list[tuple[str, str]]


class ResponseWriter:
    """Writes the response to one request.

    Attributes:
        keep_alive: Whether the connection can serve another request after this response.
        head_sent: Whether the client has got a part of the response.
    """

    def __init__(self, request: RequestHead, send: Callable[..., None], *, keep_alive: bool) -> None:
        """Prepare a response.

        Args:
            request: The request's head.
            send: Called with pieces of the response that belong together.
            keep_alive: Whether the connection may stay open.
        """
        self.keep_alive = keep_alive
        self.head_sent = False
        self._request = request
        self._send = send
        self._status = ""
        self._headers: _Headers = []
        self._has_body = self._chunked = False
        # Bytes of the body that must follow; None if the head does not tell.
        self._missing: int | None = None

    def start_response(self, status: str, headers: _Headers, exc_info: Any = None) -> Callable[[bytes], None]:
        """Set status and headers. An app may call this again with `exc_info`, until the first byte of the body.

        Raises:
            ValueError: the status or a header is not valid HTTP.
        """
        if exc_info and self.head_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and not exc_info:
            raise RuntimeError("start_response was called twice")
        match = _STATUS.fullmatch(status)
        if not match or not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers):
            # Without the values, because this is logged.
            raise ValueError("the app's status or one of its headers is not valid HTTP")
        self._status = status
        self._frame(int(match[1]), [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP])
        return self.write

    def _frame(self, status: int, headers: _Headers) -> None:
        """Decide how the client finds the end of the response (RFC 9112, 6.3)."""
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        bodiless = status in _BODILESS
        if bodiless and length is not None:
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        self._has_body = not bodiless and self._request.method != "HEAD"
        self._missing = int(length) if self._has_body and length is not None else None
        self._chunked = self._has_body and length is None and self._request.version == "1.1"
        if self._has_body and length is None and not self._chunked:
            self.keep_alive = False
        self._headers = headers

    def write(self, data: bytes) -> None:
        """Send a piece of the body; the first one together with the head.

        Raises:
            OSError: the connection is broken, or the client is too slow.
        """
        if self._missing is not None:
            data = data[: self._missing]
            self._missing -= len(data)
        if not self._has_body or not data:
            return
        head = () if self.head_sent else (self._head(),)
        if self._chunked:
            self._send(*head, b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._send(*head, data)

    def finish(self) -> None:
        """Send what ends the response.

        Raises:
            OSError: the connection is broken, or the client is too slow.
        """
        pieces = [] if self.head_sent else [self._head()]
        if self._chunked:
            pieces.append(b"0\r\n\r\n")
        if self._missing:
            # The client waits for more, and only the end of the connection tells it the truth.
            self.keep_alive = False
        if pieces:
            self._send(*pieces)

    def _head(self) -> bytes:
        if not self._status:
            raise RuntimeError("the app has not called start_response")
        self.head_sent = True
        has_date = any(name.lower() == "date" for name, _ in self._headers)
        lines = [
            f"HTTP/1.1 {self._status}",
            *(() if has_date else (f"Date: {http_date()}",)),
            f"Connection: {'keep-alive' if self.keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in self._headers),
        ]
        if self._chunked:
            lines.append("Transfer-Encoding: chunked")
        return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def run_app(app: Callable[..., Iterable[bytes]], environ: dict[str, Any], writer: ResponseWriter) -> None:
    """Have a WSGI app answer one request.

    Raises:
        OSError: the connection is broken, or the client is too slow.
        Exception: whatever the app raises.
    """
    pieces = app(environ, writer.start_response)
    try:
        for piece in pieces:
            writer.write(piece)
        writer.finish()
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
