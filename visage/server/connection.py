"""One client's connection: what comes in until a request is whole."""

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
from visage.server.request_framing import Reception
from visage.server.response_buffer import SLOWEST_RATE, Outbox
from visage.temporary_files import storage_errors

# Bytes that are read at a time.
_CHUNK = 2**18

# Requests that need a slot, and those whose bodies go to the disk.
_PHOTO = re.compile(rb"POST /(?:predict|analyze|anonymize|enhance)[? ]")
_BATCH = re.compile(rb"POST /batches[? ]")

_GO_AHEAD = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Held:
    """Bytes of requests that all connections of a worker hold, and the files of those on the disk."""

    in_memory: int = 0
    on_disk: int = 0
    files: int = 0
    lock: Lock = field(default_factory=Lock)


class Connection:
    """A client's connection, as gunicorn's threads expect it, with its request collected before they see it."""

    initialized = True
    data_ready = True
    is_http2 = False

    def __init__(self, connection: socket.socket, client: Any, server: Any, held: Held, patience: float) -> None:
        """`held` counts what is held here too; a request has `patience` seconds to come, and an answer to go."""
        connection.settimeout(0)
        self.socket = connection
        self.client = client
        self.server = server
        self.sock = Outbox(connection, patience)
        self.parser: Any = None
        self.reception = Reception()
        self.deadline = time.monotonic() + patience
        self.open = self.keeps = True
        # The body of a request that was received, unless that is for the parser to find.
        self.body: BinaryIO | None = None
        self._patience = patience
        self._held = held
        # Bytes of a request that was received, or is.
        self._in_memory = self._on_disk = 0
        self._behind = b""
        self._went_ahead = False

    @property
    def is_quiet(self) -> bool:
        """Whether, of a request that was answered, the client has taken everything and sent nothing behind it."""
        return self.body is not None and not self._behind and not self.sock.held

    @property
    def may_be_turned_away(self) -> bool:
        """Whether this is a photo that nothing follows, and of which it is sure where it ends."""
        return self.reception.surely_ends and bool(_PHOTO.match(self.reception.data))

    @property
    def can_keep(self) -> bool:
        """Whether the client wants to go on after the request that has come."""
        reception = self.reception
        first_line, _, _ = reception.head.partition(b"\r")
        return first_line.endswith(b"HTTP/1.1") and b"close" not in reception.header(b"connection").lower()

    @property
    def request_id(self) -> str:
        """That of the request that has come, as far as it has: the client's own, or a new one."""
        return valid_request_id(self.reception.header(b"x-request-id").decode("latin-1"))

    @property
    def is_batch(self) -> bool:
        """Whether the request that comes is a batch."""
        return bool(_BATCH.match(self.reception.data))

    @property
    def is_for_the_disk(self) -> bool:
        """Whether it is one whose body has a known length."""
        return bool(self.reception.body_bytes and not self.reception.chunked and self.is_batch)

    def spool_to(self, file: BinaryIO) -> None:
        """Have the body go to `file`, which is closed when the request has been answered.

        Raises:
            StorageFull: there is no room for what has come.
        """
        with self._held.lock:
            self._held.files += 1
        with storage_errors():
            self.reception.spool_to(file)
        self._hold(len(self.reception.data), file.tell())

    def release(self) -> None:
        """Let go of a request that was answered or refused, before the answer is out."""
        if self.parser and self.body is None:
            return
        self._forget(len(self._behind))
        self.body = self.body and BytesIO()

    def drop(self) -> None:
        """Close the connection and let go of everything."""
        self.open = False
        self._forget(0)
        with suppress(OSError):
            self.socket.close()

    def receive(self) -> int:
        """Take what has come; how many bytes that was. None at all is the end of what the client sends.

        Raises:
            BlockingIOError: nothing has come.
            OSError: the client is gone.
            StorageFull: there is no room for what has come.
        """
        data = self.socket.recv(_CHUNK)
        if data and self.reception.spool:
            with storage_errors():
                self.reception.feed(data)
            self._hold(len(self.reception.data), self.reception.spool.tell())
            more = len(data) / SLOWEST_RATE
            self.deadline = min(self.deadline + more, time.monotonic() + self._patience)
        elif data:
            self.reception.feed(data)
            self._hold(self._in_memory + len(data), 0)
        return len(data)

    def go_ahead(self) -> None:
        """Tell a client to send its body, once."""
        if not self._went_ahead:
            self._went_ahead = True
            with suppress(OSError):
                self.socket.send(_GO_AHEAD)

    def init(self) -> None:
        """gunicorn's threads ask for this; everything is there already."""

    def begin(self, config: Any) -> None:
        """Have the request, which is complete, parsed out of what was collected.

        A body of known length goes past the parser: on its way through it would be copied several times.
        """
        self.sock.keep_next_back()
        head, body, self._behind = self.reception.take()
        if self.reception.spool:
            self.body = self.reception.spool
            self.body.seek(0)
        else:
            self.body = BytesIO(body) if head and not self.reception.chunked else None
        parsed = [head, self._behind] if self.body is None else [head]
        self.parser = get_parser(config, iter([part for part in parsed if part]), self.client)

    def next_request(self) -> None:
        """Forget the request that was answered; what came behind it belongs to the next."""
        if self.parser and self.body is None:
            unreader = self.parser.unreader
            self._behind = unreader.take_buffered() + b"".join(unreader.iter or ())
        self.parser, self.body, self._went_ahead = None, None, False
        self._forget(len(self._behind))
        if self._behind:
            self.reception.feed(self._behind)
        self._behind = b""

    def _hold(self, in_memory: int, on_disk: int) -> None:
        with self._held.lock:
            self._held.in_memory += in_memory - self._in_memory
            self._held.on_disk += on_disk - self._on_disk
        self._in_memory, self._on_disk = in_memory, on_disk

    def _forget(self, in_memory: int) -> None:
        if self.reception.spool:
            with self._held.lock:
                self._held.files -= 1
            # What a full disk did not take is tried once more.
            with suppress(OSError):
                self.reception.spool.close()
        self.reception = Reception()
        self._hold(in_memory, 0)
