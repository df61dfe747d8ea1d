"""gunicorn's worker: its signals, its heartbeat, its listeners and its end. `ConnectionServer` does the rest.

It uses the documented base class for workers, and leaves HTTP/2, uWSGI, TLS and the PROXY protocol to a proxy.
"""

import errno
import os
import socket
import sys
import tempfile
import time
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

from visage.logs import cause, logger
from visage.server import overload
from visage.server.connection_server import LINGER_SECONDS, ConnectionServer
from visage.server.http.environ import Environs
from visage.server.http.request_parser import HeadLimits
from visage.server.main_loop import MainLoop
from visage.settings import MAX_OVERHEAD_BYTES, Settings

# The interval in which threads are switched during a shutdown. Python's default is 5 milliseconds.
_SHORT_SWITCH_SECONDS = 1e-5

# How often deadlines are checked, and the longest poll without connections.
_DEADLINE_CHECK_SECONDS = 0.25
_IDLE_POLL_SECONDS = 1.0

# Connections to accept after a pause. Otherwise one at a time, so that idle workers get the next ones.
_MAX_ACCEPTED = 64

# A directory without room, or in which this user cannot create files. Another one may do.
_NO_FILES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

# Without file descriptors or memory, a connection stays in the backlog. Accepting is tried again after this long.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EXHAUSTED_PAUSE_SECONDS = 0.25


class BufferingWorker(Worker):  # type: ignore[misc]
    """Serves Flask's app in threads, and never lets a thread wait for a client."""

    alive: bool

    def __init__(self, *arguments: Any) -> None:
        try:
            super().__init__(*arguments)
        except OSError as error:
            if error.errno not in _NO_FILES:
                raise
            # The file of heartbeats cannot be created, for example because /dev/shm has no inode left.
            logger.warning("heartbeat_moved", extra={"fields": {"reason": cause(error)}})
            # gunicorn has changed the umask for the file.
            os.umask(0o077)
            *_, cfg, _log = arguments
            cfg.set("worker_tmp_dir", tempfile.gettempdir())
            super().__init__(*arguments)
        self._settings = Settings.from_environment()
        self._next_deadline_check = self._next_accept = 0.0
        self._is_accepting = self._has_paused = False

    def load_wsgi(self) -> None:
        """Load the app, and prepare to serve it."""
        super().load_wsgi()
        cfg = self.cfg
        self._loop = MainLoop(self.PIPE)
        self.server = ConnectionServer(
            self.wsgi,
            self._settings,
            self._loop,
            environs=Environs(cfg.forwarded_allow_ips, cfg.secure_scheme_headers),
            limits=_head_limits(cfg),
            threads=cfg.threads,
            idle_seconds=cfg.keepalive,
            may_keep_alive=self._count_request,
        )

    def run(self) -> None:
        """Serve until a signal stops the worker, then finish what has begun."""
        while self.alive:
            self.notify()
            can_accept = self._can_accept()
            if can_accept and not self._is_accepting:
                self._start_accepting()
            elif not can_accept and self._is_accepting:
                self._stop_accepting()
            self.poll(_IDLE_POLL_SECONDS if can_accept else _EXHAUSTED_PAUSE_SECONDS)
            if not self.is_parent_alive():
                break
        self._drain()

    def poll(self, seconds: float) -> None:
        """Serve for at most `seconds`, until something has happened."""
        self._has_paused = overload.pause(self.wsgi.extensions["engine"])
        self._loop.poll(min(seconds, _DEADLINE_CHECK_SECONDS) if len(self.server.deadlines) else seconds)
        now = time.monotonic()
        if now >= self._next_deadline_check:
            self._next_deadline_check = now + _DEADLINE_CHECK_SECONDS
            self.server.deadlines.expire()

    def is_parent_alive(self) -> bool:
        """Whether the master still runs. Otherwise another process has adopted this one."""
        return bool(self.ppid == os.getppid())

    def should_rebalance(self) -> bool:
        """Whether to close a connection after its response, because another worker may be idle."""
        return False

    def _count_request(self) -> bool:
        """Count a request, and return whether its connection may stay open."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
            self._loop.wake()
        return self.alive and not self.should_rebalance()

    def _can_accept(self) -> bool:
        return bool(self.server.count < self.cfg.worker_connections and time.monotonic() >= self._next_accept)

    def _start_accepting(self) -> None:
        self._is_accepting = True
        for listener in self.sockets:
            listener.settimeout(0)
            self._loop.selector.register(listener, EVENT_READ, self._accept_waiting)

    def _stop_accepting(self) -> None:
        self._is_accepting = False
        for listener in self.sockets:
            self._loop.selector.unregister(listener)

    def _accept_waiting(self, listener: Any) -> None:
        """Accept a connection, or all after a pause: health checks and rejections must not wait behind each other."""
        for _ in range(_MAX_ACCEPTED if self._has_paused else 1):
            if not self._can_accept() or not self._accept(listener):
                break

    def _accept(self, listener: Any) -> bool:
        """Accept a connection and receive what it has sent. Return whether there was one."""
        try:
            client, address = listener.accept()
        except OSError as error:
            # Any other error concerns this client only, or is temporary.
            if error.errno in {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}:
                raise
            if error.errno in _EXHAUSTED:
                self._next_accept = time.monotonic() + _EXHAUSTED_PAUSE_SECONDS
                logger.warning("accept_failed", extra={"fields": {"reason": cause(error)}})
            return False
        if client.family != socket.AF_UNIX:
            # Responses are sent in as few pieces as possible already.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.add(client, address, listener.getsockname())
        return True

    def _drain(self) -> None:
        """Stop listening, and serve the connections until they have what they asked for."""
        if self._is_accepting:
            self._stop_accepting()
        self.server.is_stopping = True
        self.wsgi.extensions["stopping"].set()
        # The kernel resets connections that arrive between the last accept and the close. Other threads must not run in
        # between.
        sys.setswitchinterval(_SHORT_SWITCH_SECONDS)
        for listener in self.sockets:
            while self._accept(listener):
                pass
            listener.close()
        self.server.deadlines.limit_idle(time.monotonic() + LINGER_SECONDS)
        end = time.monotonic() + self.cfg.graceful_timeout
        while self.server.count and time.monotonic() < end:
            self.notify()
            self.poll(_IDLE_POLL_SECONDS)
        self.server.close_all()
        self._loop.close()


def _head_limits(cfg: Any) -> HeadLimits:
    """gunicorn's limits. Its 0 stands for no limit, so only the limit of the whole head remains."""
    limits = (cfg.limit_request_line, cfg.limit_request_fields, cfg.limit_request_field_size)
    return HeadLimits(*(limit if limit > 0 else MAX_OVERHEAD_BYTES for limit in limits))
