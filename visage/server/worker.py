"""gunicorn's threaded worker, with buffered requests and responses: a thread never waits for a client.

The main loop receives each request until it is complete, and sends what a client does not read at once. A slow client
costs a socket and its buffers until its deadline. Only a request that is being processed holds a thread.
"""

import errno
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from gunicorn.http import errors as http_errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from visage.errors import BodyTimeout, RequestError, StorageFull, VisageError
from visage.logs import logger, new_request_id
from visage.server import overload
from visage.server.connection import Connection
from visage.server.connection_deadlines import ConnectionDeadlines
from visage.server.early_rejection import parse_error, reject
from visage.server.response_buffer import MIN_BYTES_PER_SECOND
from visage.server.upload_limits import UploadLimits
from visage.settings import Settings

# How long the bytes that a client still sends after an error are discarded, so that it can read the response.
_LINGER_SECONDS = 2.0

# The response buffers of a worker may hold this many bytes for each pixel of the largest image: a BMP as base64.
_RESPONSE_BYTES_PER_PIXEL = 4

# The interval in which threads are switched during a shutdown. Python's default is 5 milliseconds.
_SHORT_SWITCH_SECONDS = 1e-5

# How often deadlines are checked.
_DEADLINE_CHECK_SECONDS = 0.25

_Method = Callable[..., None]


def _closing_on_error(method: _Method) -> _Method:
    """Decorate a method so that an unexpected error closes its connection, and the main loop continues."""

    @wraps(method)
    def wrapper(worker: "BufferingWorker", connection: Connection, *arguments: object) -> None:
        try:
            method(worker, connection, *arguments)
        except Exception:
            logger.exception("connection_failed")
            worker._close(connection)

    return wrapper


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """Behaves as documented for `ThreadWorker`, but leaves HTTP/2, TLS and the PROXY protocol to a proxy."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = Settings.from_environment()
        self._deadlines = ConnectionDeadlines(lambda: self.poller)
        self._limits = UploadLimits(self._settings)
        self._next_deadline_check = 0.0
        self._max_response_bytes = _RESPONSE_BYTES_PER_PIXEL * self._settings.max_image_pixels
        self._listeners_closed = False

    def accept(self, listener: socket.socket) -> bool:
        """Accept a connection and receive what it has sent. Return whether there was one."""
        try:
            client, address = listener.accept()
        except OSError as error:
            # Any other error concerns this client only, or is temporary.
            if error.errno in {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}:
                raise
            return False
        self.add_connection(client, address, listener.getsockname())
        return True

    def add_connection(self, client: socket.socket, address: Any, server: Any) -> None:
        """Add an accepted connection, and receive what it has sent."""
        self.nr_conns += 1
        self._receive(Connection(client, address, server, self._limits.budget, self._settings.body_seconds))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections. A worker that stops accepts all pending ones, then stops listening."""
        stops = not enabled and not self.alive and not self._listeners_closed
        self._listeners_closed = self._listeners_closed or stops
        super().set_accept_enabled(enabled)
        if stops:
            self.wsgi.extensions["stopping"].set()
            # The kernel resets connections that arrive between the last accept and the close. Other threads must not
            # run in between.
            sys.setswitchinterval(_SHORT_SWITCH_SECONDS)
        for listener in self.sockets if stops else ():
            while self.accept(listener):
                pass
            listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Poll. While connections wait, do so often enough to check their deadlines."""
        overload.pause(self.wsgi.extensions["engine"])
        super().wait_for_and_dispatch_events(min(timeout, _DEADLINE_CHECK_SECONDS) if self._deadlines else timeout)

    def murder_keepalived(self, force: bool = False) -> None:
        """End all connections whose deadline has passed; with `force`, close all that wait."""
        now = time.monotonic()
        if now < self._next_deadline_check and not force:
            return
        self._next_deadline_check = now + _DEADLINE_CHECK_SECONDS
        self._deadlines.expire()
        for connection in self._deadlines if force else ():
            self._close(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """Let idle connections wait until `deadline` at most, because the worker stops."""
        self._deadlines.limit_idle(deadline)

    @_closing_on_error
    def _receive(self, connection: Connection) -> None:
        """Receive what has arrived of a request, and dispatch it once it is complete."""
        has_begun = bool(connection.framing.data)
        try:
            received = connection.receive()
        except BlockingIOError:
            self._wait_for_request(connection)
            return
        except OSError:
            self._close(connection)
            return
        except StorageFull as error:
            self._reject(connection, error)
            return
        if not has_begun:
            connection.deadline = time.monotonic() + self._settings.body_seconds
        if not received:
            self._handle_early_end(connection)
        else:
            self._dispatch(connection)

    def _dispatch(self, connection: Connection) -> None:
        """Reject a request, give it to a thread, or wait for the rest of it."""
        try:
            self._limits.check(connection)
        except VisageError as error:
            self._reject(connection, error)
            return
        framing = connection.framing
        if connection.can_reject_early and overload.rejects_photos(self.wsgi.extensions["engine"]):
            keep_alive = self.alive and connection.wants_keep_alive
            connection.keep_alive = overload.reject_photo(connection, self._settings, keep_alive=keep_alive)
            connection.release()
            self._send(connection)
        elif framing.complete:
            self._deadlines.stop_waiting(connection)
            self.enqueue_req(connection)
        else:
            if framing.expects_100_continue:
                connection.send_100_continue()
            self._wait_for_request(connection)

    def _wait_for_request(self, connection: Connection) -> None:
        on_timeout = self._time_out if connection.framing.data else self._close
        self._deadlines.wait_to_read(connection, self._receive, connection.deadline, on_timeout)

    @_closing_on_error
    def _time_out(self, connection: Connection) -> None:
        slow = f"The request did not arrive within {self._settings.body_seconds:g} seconds; send it faster."
        slow_batch = f"The batch arrives too slowly; send at least {MIN_BYTES_PER_SECOND:,} bytes a second."
        self._reject(connection, BodyTimeout(slow_batch if connection.is_batch else slow))

    def _handle_early_end(self, connection: Connection) -> None:
        if connection.framing.data:
            self._reject(connection, RequestError("The body does not match its headers; send the request again."))
        else:
            self._close(connection)

    def handle(self, conn: Connection) -> Any:
        """Parse a request and answer it, in a thread. The queue may have filled since the dispatch."""
        if conn.can_reject_early and overload.rejects_photos(self.wsgi.extensions["engine"]):
            return overload.reject_photo(conn, self._settings, keep_alive=self.alive and conn.wants_keep_alive)
        conn.begin(self.cfg)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a parsed request, in a thread."""
        if conn.body is not None:
            req.body = conn.body
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """Whether the connection can be kept open. An unread body does not prevent it if it was buffered separately."""
        if conn.body is not None:
            return bool(keepalive)
        # If the chunks are invalid, nobody can tell where the next request begins. This one has its response already.
        with suppress(http_errors.ParseException):
            return bool(keepalive and conn.parser.finish_body())
        return False

    def enqueue_req(self, conn: Connection) -> None:
        """Give a complete request to a thread."""
        self.tpool.submit(self._answer, conn)

    def _answer(self, connection: Connection) -> None:
        """Answer a request, in a thread. If nothing is left to send, do not wake the main loop: that takes long."""
        is_done = keep_alive = False
        try:
            keep_alive = bool(self.handle(connection))
            if keep_alive and self.alive and connection.is_idle:
                self._await_next(connection)
                is_done = True
        finally:
            if not is_done:
                self.method_queue.defer(self._finish, connection, keep_alive)

    @_closing_on_error
    def _finish(self, connection: Connection, keep_alive: bool) -> None:
        """Send what is left of a response after its thread has ended or failed."""
        connection.release()
        connection.keep_alive = keep_alive
        self._send(connection)
        # Close the oldest slow readers. Rejecting new requests would let a few slow readers block the service.
        for slow in self._deadlines.over_budget(self._max_response_bytes) if connection.sock.buffered_bytes else ():
            self._close(slow)

    @_closing_on_error
    def _send(self, connection: Connection) -> None:
        """Send what the client reads. After all of it, await the next request or close."""
        try:
            is_sent = connection.sock.flush()
        except OSError:
            self._close(connection)
            return
        if not is_sent:
            self._deadlines.wait_to_write(connection, self._send, time.monotonic() + 1, self._continue_sending)
        elif connection.keep_alive:
            self._await_next(connection)
        else:
            self._linger(connection)

    @_closing_on_error
    def _continue_sending(self, connection: Connection) -> None:
        if connection.sock.is_overdue:
            self._close(connection)
        else:
            self._send(connection)

    def _await_next(self, connection: Connection) -> None:
        connection.next_request()
        seconds = self._settings.body_seconds if connection.framing.data else self.cfg.keepalive
        connection.deadline = time.monotonic() + (seconds if self.alive else min(seconds, _LINGER_SECONDS))
        if connection.framing.data:
            self._dispatch(connection)
        else:
            self._wait_for_request(connection)

    def _linger(self, connection: Connection) -> None:
        """Close after the client has closed: unread bytes would cost it the response (RFC 9112, 9.6)."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
            return
        self._deadlines.wait_to_read(connection, self._discard, time.monotonic() + _LINGER_SECONDS, self._close)

    @_closing_on_error
    def _discard(self, connection: Connection) -> None:
        try:
            if connection.socket.recv(2**18):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        if connection.is_open:
            self._deadlines.remove(connection)
            connection.close()
            self.nr_conns -= 1

    def _reject(self, connection: Connection, error: VisageError) -> None:
        """Answer with `error`, without a thread, and close."""
        with suppress(OSError):
            connection.sock.sendall(reject(error, connection.request_id, connection.origin, self._settings))
        connection.release()
        connection.keep_alive = False
        self._send(connection)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn's parser rejected in the shape of every error."""
        if not isinstance(exc, http_errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            client.sendall(reject(parse_error(exc), new_request_id(), client.origin, self._settings))
