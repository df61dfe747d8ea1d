"""Serves connections: a thread never waits for a client.

The main loop receives each request until it is complete, and sends what a client does not read at once. A slow client
costs a socket and its buffers until its deadline. Only a request that is being processed holds a thread.
"""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import Any

from visage.errors import BodyTimeout, RequestError, VisageError
from visage.logs import logger
from visage.server import overload
from visage.server.connection import Connection
from visage.server.connection_deadlines import ConnectionDeadlines
from visage.server.early_rejection import reject
from visage.server.http.environ import Environs
from visage.server.http.request import Request, RequestHead
from visage.server.http.request_body import RequestBody
from visage.server.http.request_parser import HeadLimits
from visage.server.http.response_buffer import ClientGone
from visage.server.http.response_writer import ResponseWriter, run_app
from visage.server.http.upload_limits import UploadLimits
from visage.server.main_loop import MainLoop
from visage.settings import Settings
from visage.web.request_kinds import Kind, request_kinds

# How long the bytes that a client still sends after an error are discarded, so that it can read the response. An idle
# connection of a worker that stops has as long.
LINGER_SECONDS = 2.0

# The response buffers of a worker may hold this many bytes for each pixel of the largest anonymized image: a BMP as
# base64.
_RESPONSE_BYTES_PER_PIXEL = 4

_UNEXPECTED = "The service failed unexpectedly; try again, and report the request ID if the error persists."

_Method = Callable[..., None]


def _closing_on_error(method: _Method) -> _Method:
    """Decorate a method so that an unexpected error closes its connection, and the main loop continues."""

    @wraps(method)
    def wrapper(server: "ConnectionServer", connection: Connection, *arguments: object) -> None:
        try:
            method(server, connection, *arguments)
        except OSError:
            server.close(connection)
        except Exception:
            logger.exception("connection_failed")
            server.close(connection)

    return wrapper


class ConnectionServer:
    """The connections of one worker. All methods are for the main loop's thread.

    Attributes:
        count: The number of open connections.
        deadlines: What the connections wait for.
        is_stopping: Whether connections are closed after their next response.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        loop: MainLoop,
        *,
        environs: Environs,
        limits: HeadLimits,
        threads: int,
        idle_seconds: float,
        may_keep_alive: Callable[[], bool],
    ) -> None:
        """Prepare to serve.

        Args:
            app: The Flask app, which answers requests in threads.
            settings: The settings.
            loop: The main loop.
            environs: Creates WSGI environments.
            limits: The limits of a request's head.
            threads: The number of threads.
            idle_seconds: How long a connection may wait for its next request.
            may_keep_alive: Called once for each request that reaches the app, in its thread. Returns whether the
                connection may stay open.
        """
        self.count = 0
        self.is_stopping = False
        self.deadlines = ConnectionDeadlines(loop.selector)
        self._app = app
        self._settings = settings
        self._loop = loop
        self._environs = environs
        self._head_limits = limits
        self._threads = ThreadPoolExecutor(max_workers=threads)
        self._idle_seconds = idle_seconds
        self._may_keep_alive = may_keep_alive
        self._upload_limits = UploadLimits(settings)
        self._kinds = request_kinds(app)
        self._max_response_bytes = _RESPONSE_BYTES_PER_PIXEL * settings.max_redacted_pixels

    def add(self, client: socket.socket, address: Any, server: Any) -> None:
        """Add an accepted connection, and receive what it has sent."""
        self.count += 1
        connection = Connection(
            client,
            address,
            server,
            open_body=self._open_body,
            limits=self._head_limits,
            budget=self._upload_limits.budget,
            time_limit=self._settings.body_seconds,
        )
        self._receive(connection)

    def close(self, connection: Connection) -> None:
        """Close a connection and forget it."""
        if connection.is_open:
            self.deadlines.remove(connection)
            connection.close()
            self.count -= 1

    def close_all(self) -> None:
        """Close all connections that wait, and leave threads that still answer to themselves."""
        for connection in self.deadlines:
            self.close(connection)
        self._threads.shutdown(wait=False)

    def _open_body(self, head: RequestHead) -> RequestBody:
        return self._upload_limits.open_body(head, self._kind(head))

    def _kind(self, head: RequestHead) -> Kind:
        return self._kinds(head.method, head.path_and_query[0])

    @_closing_on_error
    def _receive(self, connection: Connection) -> None:
        """Receive what has arrived, and go on."""
        try:
            received = connection.receive()
        except BlockingIOError:
            self._wait_for_request(connection)
            return
        if received:
            self._advance(connection)
        elif connection.parser.has_begun:
            self._reject(connection, RequestError("The body does not match its headers; send the request again."))
        else:
            self.close(connection)

    def _advance(self, connection: Connection) -> None:
        """Have the next complete request answered, reject an invalid one, or wait for the rest of one."""
        parser = connection.parser
        if parser.requests:
            self._dispatch(connection, parser.requests.popleft())
        elif parser.error:
            self._reject(connection, parser.error)
        elif parser.has_ended:
            self._linger(connection)
        else:
            if parser.expects_100_continue:
                connection.send_100_continue()
            self._wait_for_request(connection)

    def _dispatch(self, connection: Connection, request: Request) -> None:
        if self._rejects(request):
            connection.keep_alive = self._reject_photo(connection, request)
            self._send(connection)
        else:
            self.deadlines.stop_waiting(connection)
            self._threads.submit(self._answer, connection, request)

    def _rejects(self, request: Request) -> bool:
        return overload.rejects_photos(self._app.extensions["engine"]) and self._kind(request.head) is Kind.PHOTO

    def _reject_photo(self, connection: Connection, request: Request) -> bool:
        """Reject a photo under overload, and return whether the connection may stay open."""
        keep_alive = self._keeps(connection, request)
        overload.reject_photo(connection, request, self._settings, keep_alive=keep_alive)
        return keep_alive

    def _keeps(self, connection: Connection, request: Request) -> bool:
        """Whether the connection may stay open after this request."""
        is_last = connection.parser.has_ended and not (connection.parser.requests or connection.parser.error)
        return request.head.keep_alive and self._idle_seconds > 0 and not self.is_stopping and not is_last

    def _wait_for_request(self, connection: Connection) -> None:
        on_timeout = self._time_out if connection.parser.has_begun else self.close
        self.deadlines.wait_to_read(connection, self._receive, connection.deadline, on_timeout)

    @_closing_on_error
    def _time_out(self, connection: Connection) -> None:
        self._reject(connection, BodyTimeout(connection.lateness))

    def _answer(self, connection: Connection, request: Request) -> None:
        """Answer a request, in a thread. If nothing is left to send, do not wake the main loop: that takes long."""
        is_done = keep_alive = False
        try:
            # The queue may have filled since the dispatch.
            if self._rejects(request):
                keep_alive = self._reject_photo(connection, request)
            else:
                keep_alive = self._respond(connection, request)
            if keep_alive and not self.is_stopping and connection.is_idle:
                self._await_next(connection)
                is_done = True
        except ClientGone:
            keep_alive = False
        except Exception:
            logger.exception("response_failed")
            keep_alive = False
        finally:
            request.body.close()
            if not is_done:
                self._loop.defer(self._finish, connection, keep_alive)

    def _respond(self, connection: Connection, request: Request) -> bool:
        """Run the app, and return whether the connection may stay open."""
        keep_alive = self._may_keep_alive() and self._keeps(connection, request)
        writer = ResponseWriter(request.head, connection.response.sendall, keep_alive=keep_alive)
        try:
            environ = self._environs.make(request, connection.client, connection.server, connection.response)
            run_app(self._app, environ, writer)
        except ClientGone:
            raise
        except Exception as failure:
            if writer.head_sent or not isinstance(failure, RequestError):
                logger.exception("response_failed")
            if not writer.head_sent:
                error = failure if isinstance(failure, RequestError) else VisageError(_UNEXPECTED)
                connection.response.sendall(reject(error, request.head, self._settings))
            return False
        request.body.close()
        return writer.keep_alive

    @_closing_on_error
    def _finish(self, connection: Connection, keep_alive: bool) -> None:
        """Send what is left of a response after its thread has ended or failed."""
        connection.keep_alive = keep_alive
        if not keep_alive:
            connection.free()
        self._send(connection)
        # Close the oldest slow readers. Rejecting new requests would let a few slow readers block the service.
        is_slow = connection.response.buffered_bytes > 0
        for slow in self.deadlines.over_budget(self._max_response_bytes) if is_slow else ():
            self.close(slow)

    @_closing_on_error
    def _send(self, connection: Connection) -> None:
        """Send what the client reads. After all of it, await the next request or close."""
        if not connection.response.flush():
            self.deadlines.wait_to_write(connection, self._send, time.monotonic() + 1, self._continue_sending)
        elif connection.keep_alive:
            self._await_next(connection)
        else:
            self._linger(connection)

    @_closing_on_error
    def _continue_sending(self, connection: Connection) -> None:
        if connection.response.is_overdue:
            self.close(connection)
        else:
            self._send(connection)

    def _await_next(self, connection: Connection) -> None:
        if connection.parser.has_begun:
            connection.start_clock()
        else:
            seconds = min(self._idle_seconds, LINGER_SECONDS) if self.is_stopping else self._idle_seconds
            connection.deadline = time.monotonic() + seconds
        self._advance(connection)

    def _reject(self, connection: Connection, error: VisageError) -> None:
        """Answer with `error`, without a thread, and close."""
        connection.free()
        connection.keep_alive = False
        connection.response.sendall(reject(error, connection.parser.known_head, self._settings))
        self._send(connection)

    def _linger(self, connection: Connection) -> None:
        """Close after the client has closed: unread bytes would cost it the response (RFC 9112, 9.6)."""
        connection.socket.shutdown(socket.SHUT_WR)
        self.deadlines.wait_to_read(connection, self._discard, time.monotonic() + LINGER_SECONDS, self.close)

    @_closing_on_error
    def _discard(self, connection: Connection) -> None:
        with suppress(BlockingIOError):
            if not connection.socket.recv(2**18):
                self.close(connection)
