"""A parsed request, before WSGI."""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote_to_bytes

from httptools import parse_url

from visage.logs import valid_request_id
from visage.server.http.request_body import RequestBody


@dataclass(frozen=True)
class RequestHead:
    """The request line and the headers.

    Attributes:
        method: The method, in upper case.
        target: The target as sent: a path with a query, or a whole URL.
        version: `"1.0"` or `"1.1"`.
        headers: Names in lower case and values, in the order of arrival.
        keep_alive: Whether the client lets the connection stay open.
    """

    method: str
    target: bytes
    version: str
    headers: tuple[tuple[str, str], ...] = ()
    keep_alive: bool = True

    def header(self, name: str) -> str:
        """The value of the first header with this lower-case `name`; empty if there is none."""
        return self._first_values.get(name, "")

    @cached_property
    def repeats_headers(self) -> bool:
        """Whether a header stands there twice."""
        return len(self._first_values) < len(self.headers)

    @cached_property
    def _first_values(self) -> dict[str, str]:
        return dict(reversed(self.headers))

    @cached_property
    def size(self) -> int:
        """The number of bytes of the target and the headers."""
        return len(self.target) + sum(len(name) + len(value) for name, value in self.headers)

    @cached_property
    def content_length(self) -> int | None:
        """The announced length of the body; None if there is no announcement."""
        digits = self.header("content-length")
        return int(digits) if digits else None

    @property
    def chunked(self) -> bool:
        return bool(self.header("transfer-encoding"))

    @property
    def has_body(self) -> bool:
        """Whether a body with at least one byte, or chunks, must follow."""
        return bool(self.content_length or self.chunked)

    @property
    def expects_100_continue(self) -> bool:
        """Whether the client waits for `100 Continue`. HTTP/1.0 does not know that (RFC 9110, 10.1.1)."""
        return self.version == "1.1" and self.header("expect").lower() == "100-continue"

    @cached_property
    def path_and_query(self) -> tuple[str, str]:
        """The path, without percent-encoding and as WSGI wants it (Latin-1), and the query as sent."""
        url = parse_url(self.target)
        return unquote_to_bytes(url.path or b"/").decode("latin-1"), (url.query or b"").decode("latin-1")

    @property
    def request_id(self) -> str:
        """The client's request ID if it is valid, or else a new one."""
        return valid_request_id(self.header("x-request-id"))


@dataclass(frozen=True)
class Request:
    """A complete request."""

    head: RequestHead
    body: RequestBody
