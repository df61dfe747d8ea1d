"""gunicorn's threaded worker for clients of every speed: threads see whole requests only, and never wait for a client.

The main loop collects each request and sends what a client did not take at once. A client that stalls costs a socket
and the bytes that it has sent, until its time is up; a thread is held by nobody but the photo that it works on.
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
from visage.server.connection_deadlines import Waits
from visage.server.early_rejection import refusal, unreadable
from visage.server.response_buffer import SLOWEST_RATE
from visage.server.upload_limits import Intake
from visage.settings import Settings

# What a client still sends after it was refused is taken and dropped for so long, that it may read the answer.
_LINGER_SECONDS = 2.0

# Of answers that were not taken a worker holds as much as the largest picture may be: BMP has three bytes a pixel, as
# base64 four.
_BYTES_A_PIXEL = 4

# The shortest turns of threads: Python's own are 5 milliseconds.
_SHORT_TURN_SECONDS = 1e-5

# How often those whose time is up are looked for.
_LOOK_SECONDS = 0.25

_Action = Callable[..., None]


def _harmless(action: _Action) -> _Action:
    """What goes wrong with one connection costs that connection and nothing else: the loop goes on."""

    @wraps(action)
    def guarded(worker: "PatientWorker", connection: Connection, *arguments: object) -> None:
        try:
            action(worker, connection, *arguments)
        except Exception:
            logger.exception("connection_failed")
            worker._drop(connection)

    return guarded


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """What is documented of `ThreadWorker` holds, but that HTTP/2, TLS and PROXY lines are left to a proxy."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._settings = Settings.from_environment()
        self._waits = Waits(lambda: self.poller)
        self._intake = Intake(self._settings)
        self._next_look = 0.0
        self._most_held = _BYTES_A_PIXEL * self._settings.max_image_pixels
        self._door_shut = False

    def accept(self, listener: socket.socket) -> bool:
        """Take a client that knocks, and what it has sent already; whether there was one."""
        try:
            client, address = listener.accept()
        except OSError as error:
            # All else is about this client, or passes: no reason to stop for all others.
            if error.errno in {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}:
                raise
            return False
        self.welcome(client, address, listener.getsockname())
        return True

    def welcome(self, client: socket.socket, address: Any, server: Any) -> None:
        """Take what a client who is in has sent already."""
        self.nr_conns += 1
        self._receive(Connection(client, address, server, self._intake.held, self._settings.body_seconds))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Take clients in, or no more; a worker that stops takes those that have knocked, and then shuts the door."""
        stops = not enabled and not self.alive and not self._door_shut
        self._door_shut = self._door_shut or stops
        super().set_accept_enabled(enabled)
        if stops:
            self.wsgi.extensions["stopping"].set()
            # Who knocks between the last look and the closing is cut off by the kernel: threads that work on photos
            # must not come between the two.
            sys.setswitchinterval(_SHORT_TURN_SECONDS)
        for listener in self.sockets if stops else ():
            while self.accept(listener):
                pass
            listener.close()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Look more often than once a second for those whose time is up, as long as there are any."""
        overload.rest(self.wsgi.extensions["engine"])
        super().wait_for_and_dispatch_events(min(timeout, _LOOK_SECONDS) if self._waits else timeout)

    def murder_keepalived(self, force: bool = False) -> None:
        """Part with all whose time is up; with `force`, with everybody."""
        now = time.monotonic()
        if now < self._next_look and not force:
            return
        self._next_look = now + _LOOK_SECONDS
        self._waits.call_off()
        for connection in self._waits if force else ():
            self._drop(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops: who has not begun a request by `deadline` will not be waited for."""
        self._waits.hurry(deadline)

    @_harmless
    def _receive(self, connection: Connection) -> None:
        """Take what has come of a request; once it is whole, a thread's turn comes."""
        begun = bool(connection.reception.data)
        try:
            received = connection.receive()
        except BlockingIOError:
            self._wait_for_request(connection)
            return
        except OSError:
            self._drop(connection)
            return
        except StorageFull as error:
            self._refuse(connection, error)
            return
        if not begun:
            connection.deadline = time.monotonic() + self._settings.body_seconds
        if not received:
            self._end_early(connection)
        else:
            self._judge(connection)

    def _judge(self, connection: Connection) -> None:
        """Decide what a connection's request, as far as it has come, is worth."""
        try:
            self._intake.check(connection)
        except VisageError as error:
            self._refuse(connection, error)
            return
        reception = connection.reception
        if connection.may_be_turned_away and overload.refuses_photos(self.wsgi.extensions["engine"]):
            connection.keeps = overload.turn_away(connection, keeps=self.alive and connection.can_keep)
            connection.release()
            self._send(connection)
        elif reception.complete:
            self._waits.end(connection)
            self.enqueue_req(connection)
        else:
            if reception.waits_for_go_ahead:
                connection.go_ahead()
            self._wait_for_request(connection)

    def _wait_for_request(self, connection: Connection) -> None:
        too_late = self._time_out if connection.reception.data else self._drop
        self._waits.to_read(connection, self._receive, connection.deadline, too_late)

    @_harmless
    def _time_out(self, connection: Connection) -> None:
        slow = f"The request did not arrive within {self._settings.body_seconds:g} seconds; send it faster."
        slow_batch = f"The batch comes too slowly; send at least {SLOWEST_RATE:,} bytes a second."
        self._refuse(connection, BodyTimeout(slow_batch if connection.is_batch else slow))

    def _end_early(self, connection: Connection) -> None:
        if connection.reception.data:
            self._refuse(connection, RequestError("The body is not what its headers say; send the request again."))
        else:
            self._drop(connection)

    def handle(self, conn: Connection) -> Any:
        """Read a request and answer it, in a thread; those that came in the same moment may have filled the queue."""
        if conn.may_be_turned_away and overload.refuses_photos(self.wsgi.extensions["engine"]):
            return overload.turn_away(conn, keeps=self.alive and conn.can_keep)
        conn.begin(self.cfg)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Answer a request, in a thread."""
        if conn.body is not None:
            req.body = conn.body
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn: Connection, keepalive: Any) -> bool:
        """A body that nobody wanted stands in nobody's way when it has been received apart."""
        if conn.body is not None:
            return bool(keepalive)
        # Where the next request begins cannot be told if this one's chunks are none; it has its answer already.
        with suppress(http_errors.ParseException):
            return bool(keepalive and conn.parser.finish_body())
        return False

    def enqueue_req(self, conn: Connection) -> None:
        """Have a thread answer a request that is whole."""
        self.tpool.submit(self._answer, conn)

    def _answer(self, connection: Connection) -> None:
        """Answer in a thread. To wake the main loop takes long: it is not done for a client that has everything."""
        goes_on = keeps = False
        try:
            keeps = bool(self.handle(connection))
            if keeps and self.alive and connection.is_quiet:
                self._await_next(connection)
                goes_on = True
        finally:
            if not goes_on:
                self.method_queue.defer(self._finish, connection, keeps)

    @_harmless
    def _finish(self, connection: Connection, keeps: bool) -> None:
        """A thread has made its answer, or given up; what the client has not taken yet is sent from here."""
        connection.release()
        connection.keeps = keeps
        self._send(connection)
        # To refuse others what is new instead would leave the service to a few slow readers.
        for slow in self._waits.longest_held(self._most_held) if connection.sock.held else ():
            self._drop(slow)

    @_harmless
    def _send(self, connection: Connection) -> None:
        """Send what the client takes; once it has everything, its next request's turn comes."""
        try:
            everything = connection.sock.flush()
        except OSError:
            self._drop(connection)
            return
        if not everything:
            self._waits.to_write(connection, self._send, time.monotonic() + 1, self._go_on_sending)
        elif connection.keeps:
            self._await_next(connection)
        else:
            self._part(connection)

    @_harmless
    def _go_on_sending(self, connection: Connection) -> None:
        if connection.sock.late:
            self._drop(connection)
        else:
            self._send(connection)

    def _await_next(self, connection: Connection) -> None:
        connection.next_request()
        patience = self._settings.body_seconds if connection.reception.data else self.cfg.keepalive
        connection.deadline = time.monotonic() + (patience if self.alive else min(patience, _LINGER_SECONDS))
        if connection.reception.data:
            self._judge(connection)
        else:
            self._wait_for_request(connection)

    def _part(self, connection: Connection) -> None:
        """Close, once the client has: bytes that nobody took would cost it the answer (RFC 9112, 9.6)."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(connection)
            return
        self._waits.to_read(connection, self._ignore, time.monotonic() + _LINGER_SECONDS, self._drop)

    @_harmless
    def _ignore(self, connection: Connection) -> None:
        try:
            if connection.socket.recv(2**18):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection.open:
            self._waits.forget(connection)
            connection.drop()
            self.nr_conns -= 1

    def _refuse(self, connection: Connection, error: VisageError) -> None:
        """Answer a request that is not worth a thread."""
        with suppress(OSError):
            connection.sock.sendall(refusal(error, connection.request_id))
        connection.release()
        connection.keeps = False
        self._send(connection)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """gunicorn's parser, or what runs under it, gave up: tell the client in the shape of every other error."""
        if not isinstance(exc, http_errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        with suppress(OSError):
            client.sendall(refusal(unreadable(exc), new_request_id()))
