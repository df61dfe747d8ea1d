"""What goes out to one client: no thread waits for a client that takes it slowly."""

import errno
import fcntl
import select
import socket
import sys
import termios
import time
from collections import deque
from itertools import islice

# A thread that makes an answer piece by piece runs ahead of its client by this much.
_MOST_WAITING = 2**20

# Pieces that are sent at a time: POSIX warrants 16 (IOV_MAX, limits.h).
_MOST_PIECES = 16

# An answer may take as long as a request, and longer at this rate: 10 kilobytes a second are a poor mobile line. So may
# what goes to the disk.
SLOWEST_RATE = 10_000


class Outbox:
    """What gunicorn takes for the client's socket: it keeps what the client does not take at once.

    Every answer has `patience` seconds, and as many as it takes at the slowest rate that is borne.
    """

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self._socket = connection
        self._patience = patience
        self._waiting: deque[memoryview] = deque()
        self._keeps_next_back = False
        self._began = time.monotonic()
        self._sent = 0

    @property
    def late(self) -> bool:
        """Whether the client has had the patience, and the time at the slowest rate, for what it has taken."""
        return time.monotonic() > self._began + self._patience + self._taken() / SLOWEST_RATE

    def _taken(self) -> int:
        """Bytes of this answer that have arrived: not those in the kernel's buffer, which may be megabytes."""
        in_kernel = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return max(0, self._sent - int.from_bytes(in_kernel, sys.byteorder))

    @property
    def held(self) -> int:
        """Bytes that are kept: of a piece of which a part was sent, all."""
        return sum(memoryview(piece.obj).nbytes for piece in self._waiting)

    @property
    def left(self) -> bool:
        """Whether the client has closed its side, behind the request: what is asked for is wanted no more."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def keep_next_back(self) -> None:
        """Have the next piece, an answer's head, go with the one behind it: each one sent wakes the client."""
        self._keeps_next_back = True

    def sendall(self, data: bytes) -> None:
        """Send `data`, or keep it for `flush`; only a thread that is far ahead of its client waits.

        Raises:
            OSError: the client is gone or too slow.
        """
        if not self._waiting:
            self._began, self._sent = time.monotonic(), 0
        while self._backlog() > _MOST_WAITING and not self.flush():
            if self.late:
                raise OSError(errno.EPIPE, "the client is too slow")
            poll = select.poll()
            poll.register(self._socket, select.POLLOUT)
            poll.poll(1000)
        self._waiting.append(memoryview(data))
        if self._keeps_next_back:
            self._keeps_next_back = False
        else:
            self.flush()

    def flush(self) -> bool:
        """Send as much as the client takes now; whether that was all.

        Raises:
            OSError: the client is gone.
        """
        while self._waiting:
            try:
                sent = self._socket.sendmsg(islice(self._waiting, _MOST_PIECES))
            except BlockingIOError:
                return False
            self._sent += sent
            while self._waiting and sent >= len(self._waiting[0]):
                sent -= len(self._waiting.popleft())
            if sent:
                self._waiting[0] = self._waiting[0][sent:]
        return True

    def _backlog(self) -> int:
        return sum(map(len, self._waiting))

    def send(self, data: bytes) -> int:
        """gunicorn's `100 Continue`: the client has had it, or did not wait for it."""
        return len(data)

    def setblocking(self, _flag: bool) -> None:
        """The socket never blocks."""

    def gettimeout(self) -> float:
        """As long as a write may block."""
        return 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def shutdown(self, _how: int) -> None:
        """gunicorn's way to end an answer that failed half way; the connection ends soon after."""
        raise OSError(errno.ENOTCONN, "closed by the main loop")

    def close(self) -> None:
        """As `shutdown`."""
