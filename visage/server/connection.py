"""One client's connection: its socket, its parser, its response and its deadline."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from visage.server.http.request import RequestHead
from visage.server.http.request_body import BufferBudget, RequestBody
from visage.server.http.request_parser import HeadLimits, RequestParser
from visage.server.http.response_buffer import MIN_BYTES_PER_SECOND, ResponseBuffer
from visage.settings import MAX_OVERHEAD_BYTES

# Largest number of bytes to receive at once. Others wait for as long as their parsing takes.
_CHUNK_BYTES = 2**16

_REMEDY = "check the connection and try again"

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """A client's connection.

    Attributes:
        parser: The requests that have arrived and wait, and the one that is arriving.
        response: The response that is being sent.
        deadline: When, on the clock `time.monotonic`, the awaited bytes must have arrived.
        keep_alive: Whether another request may follow the response that is being sent.
        is_open: Whether the socket is open.
    """

    def __init__(
        self,
        connection: socket.socket,
        client: Any,
        server: Any,
        *,
        open_body: Callable[[RequestHead], RequestBody],
        limits: HeadLimits,
        budget: BufferBudget,
        time_limit: float,
    ) -> None:
        """Wrap a connected socket.

        Args:
            connection: The socket. It becomes non-blocking.
            client: The client's address.
            server: The address of the listener.
            open_body: Returns an empty body for a request, or raises a VisageError to reject it.
            limits: The limits of a request's head.
            budget: The usage of all connections of the worker. This one adds its heads; bodies add themselves.
            time_limit: Seconds that a request may take to arrive, besides those for its body. A response has the same.
        """
        connection.settimeout(0)
        self.socket = connection
        self.client = client
        self.server = server
        self.parser = RequestParser(open_body, limits)
        self.response = ResponseBuffer(connection, time_limit)
        self.deadline = time.monotonic() + time_limit
        self.is_open = self.keep_alive = True
        self._started = time.monotonic()
        self._time_limit = time_limit
        self._budget = budget
        self._head_bytes = 0
        self._sent_100_continue = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has received the whole response, and has sent nothing more."""
        parser = self.parser
        return not (parser.requests or parser.has_begun or parser.has_ended or self.response.buffered_bytes)

    def receive(self) -> int:
        """Receive the bytes that have arrived, and return their number; 0 if the client has closed its side.

        Raises:
            BlockingIOError: no bytes have arrived.
            OSError: the connection is broken.
        """
        data = self.socket.recv(_CHUNK_BYTES)
        parser = self.parser
        had_begun, body_before = parser.has_begun, parser.body_bytes
        parser.feed(data)
        if parser.has_begun and not had_begun:
            self.start_clock()
        # A body may stall for the time limit, and be as slow as the slowest mobile connections otherwise.
        extra_seconds = max(0, parser.body_bytes - body_before) / MIN_BYTES_PER_SECOND
        self.deadline = min(self.deadline + extra_seconds, time.monotonic() + self._time_limit)
        # Headers are kept, and the lines of chunks are not.
        self._use_budget(min(parser.overhead_bytes, MAX_OVERHEAD_BYTES))
        return len(data)

    def start_clock(self) -> None:
        """Start the time limit of a request."""
        self._started = time.monotonic()
        self.deadline = self._started + self._time_limit
        self._sent_100_continue = False

    @property
    def lateness(self) -> str:
        """A sentence about a request that has not arrived in time."""
        seconds = time.monotonic() - self._started
        head = self.parser.head
        if not head:
            return (
                f"The headers did not arrive within {self._time_limit:g} seconds; check the connection and try again."
            )
        announced = f" of {head.content_length:,}" if head.content_length else ""
        return (
            f"Only {self.parser.body_bytes:,}{announced} bytes of the body arrived in {seconds:.0f} seconds, and it "
            f"may fall {self._time_limit:g} seconds behind {MIN_BYTES_PER_SECOND:,} bytes a second; {_REMEDY}."
        )

    def send_100_continue(self) -> None:
        """Ask the client to send the body. Later calls for the same request do nothing.

        Raises:
            OSError: the connection is broken.
        """
        if not self._sent_100_continue:
            self._sent_100_continue = True
            self.response.sendall(_CONTINUE)

    def close(self) -> None:
        """Close the socket and free all buffers."""
        self.is_open = False
        self.free()
        with suppress(OSError):
            self.socket.close()

    def free(self) -> None:
        """Free everything that was received. Later bytes are ignored."""
        self.parser.close()
        self._use_budget(0)

    def _use_budget(self, head_bytes: int) -> None:
        if head_bytes != self._head_bytes:
            self._budget.add(in_memory=head_bytes - self._head_bytes)
            self._head_bytes = head_bytes
