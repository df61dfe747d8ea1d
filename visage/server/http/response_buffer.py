"""Buffers the response to one client, so that no thread waits for a client that reads slowly."""

import fcntl
import select
import socket
import sys
import termios
import time
from collections import deque
from itertools import islice

# A client may be this far behind a thread that produces a response piece by piece; then the thread waits.
_MAX_BACKLOG_BYTES = 2**20

# Pieces in one system call. POSIX guarantees 16 (IOV_MAX in limits.h).
_MAX_PIECES = 16

# A response has the same time as a request, and one second more for every 10 kB: a slow mobile connection. So has a
# batch upload.
MIN_BYTES_PER_SECOND = 10_000


class ClientGone(OSError):
    """The connection is broken, or its client is too slow. An OSError of anything else is a fault of the service."""


class ResponseBuffer:
    """Sends responses on a client's non-blocking socket, and buffers what the client does not read at once.

    A response may take `time_limit` seconds, plus the time that its bytes take at `MIN_BYTES_PER_SECOND`.
    """

    def __init__(self, connection: socket.socket, time_limit: float) -> None:
        self._socket = connection
        self._time_limit = time_limit
        self._pieces: deque[memoryview] = deque()
        self._started = time.monotonic()
        self._sent_bytes = 0

    @property
    def is_overdue(self) -> bool:
        """Whether the response has taken longer than its time limit."""
        return time.monotonic() > self._started + self._time_limit + self._delivered_bytes() / MIN_BYTES_PER_SECOND

    def _delivered_bytes(self) -> int:
        """Bytes of this response that the client has received: without those in the kernel's buffer (megabytes)."""
        in_kernel = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return max(0, self._sent_bytes - int.from_bytes(in_kernel, sys.byteorder))

    @property
    def buffered_bytes(self) -> int:
        """Bytes of memory in use. A piece that was sent in part counts in full."""
        return sum(memoryview(piece.obj).nbytes for piece in self._pieces)

    @property
    def disconnected(self) -> bool:
        """Whether the client has closed its side, so that nobody reads the response."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def sendall(self, *pieces: bytes) -> None:
        """Send `pieces` together, or buffer them for `flush`. Only a thread that is far ahead of its client waits.

        Raises:
            ClientGone: the connection is broken, or the response is overdue.
        """
        if not self._pieces:
            self._started, self._sent_bytes = time.monotonic(), 0
        while self._backlog_bytes() > _MAX_BACKLOG_BYTES and not self.flush():
            if self.is_overdue:
                raise ClientGone("the client is too slow")
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(1000)
        self._pieces.extend(memoryview(piece) for piece in pieces)
        self.flush()

    def flush(self) -> bool:
        """Send as much as the socket accepts, and return whether the buffer is empty.

        Raises:
            ClientGone: the connection is broken.
        """
        while self._pieces:
            try:
                sent = self._socket.sendmsg(islice(self._pieces, _MAX_PIECES))
            except BlockingIOError:
                return False
            except OSError as error:
                raise ClientGone(str(error)) from error
            self._sent_bytes += sent
            while self._pieces and sent >= len(self._pieces[0]):
                sent -= len(self._pieces.popleft())
            if sent:
                self._pieces[0] = self._pieces[0][sent:]
        return True

    def _backlog_bytes(self) -> int:
        return sum(map(len, self._pieces))
