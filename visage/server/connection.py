"""One client's connection. It buffers a request until the request is complete."""

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock
from typing import Any, BinaryIO

from gunicorn.http import get_parser  # type: ignore[import-untyped]

from visage.logs import valid_request_id
from visage.server.request_framing import RequestFraming
from visage.server.response_buffer import MIN_BYTES_PER_SECOND, ResponseBuffer
from visage.temporary_files import storage_errors

# Largest number of bytes to receive at once.
_CHUNK_BYTES = 2**18

# Requests that need a slot.
_PHOTO_REQUEST = re.compile(rb"POST /(?:predict|analyze|anonymize|enhance)[? ]")

# Requests whose bodies go to the disk.
_BATCH_REQUEST = re.compile(rb"POST /batches[? ]")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class BufferBudget:
    """What all connections of a worker buffer now: bytes in memory, bytes on the disk, and temporary files."""

    in_memory: int = 0
    on_disk: int = 0
    files: int = 0
    lock: Lock = field(default_factory=Lock)


class Connection:
    """A client's connection. It replaces gunicorn's `TConn`, and buffers the request before a thread sees it."""

    # gunicorn's threads read these.
    initialized = True
    data_ready = True
    is_http2 = False

    def __init__(
        self, connection: socket.socket, client: Any, server: Any, budget: BufferBudget, time_limit: float
    ) -> None:
        """Wrap a connected socket.

        Args:
            connection: The socket. It becomes non-blocking.
            client: The client's address.
            server: The address of the listener.
            budget: The usage of all connections of the worker. This connection adds its own.
            time_limit: Seconds that a request may take to arrive. A response has at least as long.
        """
        connection.settimeout(0)
        self.socket = connection
        self.client = client
        self.server = server
        self.sock = ResponseBuffer(connection, time_limit)
        self.parser: Any = None
        self.framing = RequestFraming()
        self.deadline = time.monotonic() + time_limit
        self.is_open = self.keep_alive = True
        # The body of a complete request, or None if gunicorn's parser must find it.
        self.body: BinaryIO | None = None
        self._time_limit = time_limit
        self._budget = budget
        # What this connection has added to the budget.
        self._in_memory = self._on_disk = 0
        self._pipelined = b""
        self._sent_100_continue = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has received the whole response and has pipelined nothing."""
        return self.body is not None and not self._pipelined and not self.sock.buffered_bytes

    @property
    def can_reject_early(self) -> bool:
        """Whether this is a photo request that is complete, unambiguous, and not followed by pipelined bytes."""
        return self.framing.is_unambiguous and bool(_PHOTO_REQUEST.match(self.framing.data))

    @property
    def wants_keep_alive(self) -> bool:
        """Whether the client asks to keep the connection open after this request."""
        first_line, _, _ = self.framing.head.partition(b"\r")
        return first_line.endswith(b"HTTP/1.1") and b"close" not in self.framing.header(b"connection").lower()

    @property
    def request_id(self) -> str:
        """The client's request ID if it has arrived and is valid, or else a new one."""
        return valid_request_id(self.framing.header(b"x-request-id").decode("latin-1"))

    @property
    def origin(self) -> str:
        """The page that sent the request; empty if it has not arrived, or the client is no browser."""
        return self.framing.header(b"origin").decode("latin-1")

    @property
    def is_batch(self) -> bool:
        """Whether the request uploads a batch."""
        return bool(_BATCH_REQUEST.match(self.framing.data))

    @property
    def goes_to_disk(self) -> bool:
        """Whether the request uploads a batch with a known length."""
        return bool(self.framing.body_bytes and not self.framing.chunked and self.is_batch)

    def write_body_to(self, file: BinaryIO) -> None:
        """Write the body to `file`. The file is closed after the response.

        Raises:
            StorageFull: the disk is full.
        """
        with self._budget.lock:
            self._budget.files += 1
        with storage_errors():
            self.framing.write_body_to(file)
        self._use_budget(len(self.framing.data), file.tell())

    def release(self) -> None:
        """Free the buffers of a request that was answered or rejected, while its response may still be sent."""
        if self.parser and self.body is None:
            return
        self._reset_framing(len(self._pipelined))
        self.body = self.body and BytesIO()

    def close(self) -> None:
        """Close the socket and free all buffers."""
        self.is_open = False
        self._reset_framing(0)
        with suppress(OSError):
            self.socket.close()

    def receive(self) -> int:
        """Receive the bytes that have arrived, and return their number; 0 if the client has closed its side.

        Raises:
            BlockingIOError: no bytes have arrived.
            OSError: the connection is broken.
            StorageFull: the disk is full.
        """
        data = self.socket.recv(_CHUNK_BYTES)
        if data and self.framing.body_file:
            with storage_errors():
                self.framing.feed(data)
            self._use_budget(len(self.framing.data), self.framing.body_file.tell())
            extra_seconds = len(data) / MIN_BYTES_PER_SECOND
            self.deadline = min(self.deadline + extra_seconds, time.monotonic() + self._time_limit)
        elif data:
            self.framing.feed(data)
            self._use_budget(self._in_memory + len(data), 0)
        return len(data)

    def send_100_continue(self) -> None:
        """Ask the client to send the body. Later calls for the same request do nothing."""
        if not self._sent_100_continue:
            self._sent_100_continue = True
            with suppress(OSError):
                self.socket.send(_CONTINUE)

    def init(self) -> None:
        """Do nothing. gunicorn's threads call this."""

    def begin(self, config: Any) -> None:
        """Give the complete request to gunicorn's parser.

        A body of known length bypasses the parser, which would copy it several times.
        """
        self.sock.delay_next_write()
        self.sock.origin = self.origin
        head, body, self._pipelined = self.framing.take_parts()
        if self.framing.body_file:
            self.body = self.framing.body_file
            self.body.seek(0)
        else:
            self.body = BytesIO(body) if head and not self.framing.chunked else None
        parsed = [head, self._pipelined] if self.body is None else [head]
        self.parser = get_parser(config, iter([part for part in parsed if part]), self.client)

    def next_request(self) -> None:
        """Reset the state for the next request, which begins with the pipelined bytes."""
        if self.parser and self.body is None:
            unreader = self.parser.unreader
            self._pipelined = unreader.take_buffered() + b"".join(unreader.iter or ())
        self.parser, self.body, self._sent_100_continue = None, None, False
        self._reset_framing(len(self._pipelined))
        if self._pipelined:
            self.framing.feed(self._pipelined)
        self._pipelined = b""

    def _use_budget(self, in_memory: int, on_disk: int) -> None:
        with self._budget.lock:
            self._budget.in_memory += in_memory - self._in_memory
            self._budget.on_disk += on_disk - self._on_disk
        self._in_memory, self._on_disk = in_memory, on_disk

    def _reset_framing(self, in_memory: int) -> None:
        if self.framing.body_file:
            with self._budget.lock:
                self._budget.files -= 1
            # After a failed write, closing tries to write once more, and may fail again.
            with suppress(OSError):
                self.framing.body_file.close()
        self.framing = RequestFraming()
        self._use_budget(in_memory, 0)
