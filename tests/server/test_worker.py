"""A worker accepts connections, in its own main loop but without gunicorn's master."""

import errno
import logging
import os
import re
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]

from tests.server.wsgi_app import App
from visage.server.worker import BufferingWorker


class _EnoughRounds(Exception):
    """Ends a worker's main loop."""


class Worker(BufferingWorker):
    """A worker that stops when `is_done` returns true before a round of its main loop."""

    is_done: Callable[[], bool]

    def notify(self) -> None:
        if self.is_done():
            raise _EnoughRounds

    def run_until(self, is_done: Callable[[], bool]) -> None:
        self.is_done = is_done
        with pytest.raises(_EnoughRounds):
            self.run()


class ExhaustedListener(socket.socket):
    """A listener of a process that has no file descriptor left until the time `available`."""

    attempts = 0
    available = float("inf")

    def accept(self) -> Any:
        self.attempts += 1
        if time.monotonic() < self.available:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def working(stack: ExitStack, listener: socket.socket, app: App, **settings: Any) -> Worker:
    """A worker with an app and one listener."""
    listener.bind(("127.0.0.1", 0))
    listener.listen(200)
    config = Config()
    for name, value in settings.items():
        config.set(name, value)
    worker = Worker(0, os.getppid(), [listener], SimpleNamespace(wsgi=lambda: app), 60, config, logging.getLogger())
    stack.callback(worker.tmp.close)
    worker.PIPE = os.pipe2(os.O_NONBLOCK)
    for end in worker.PIPE:
        stack.callback(os.close, end)
    worker.load_wsgi()
    stack.callback(close_connections, worker)
    return worker


def close_connections(worker: Worker) -> None:
    """Close all connections, also those that a thread still answers."""
    end = time.monotonic() + 10
    worker.server.close_all()
    while worker.server.count and time.monotonic() < end:
        worker.poll(0.01)
        worker.server.close_all()


def connect(stack: ExitStack, listener: socket.socket, number: int) -> None:
    for _ in range(number):
        stack.enter_context(socket.create_connection(listener.getsockname()))


def rounds(number: int) -> Callable[[], bool]:
    """A condition that is true after `number` rounds."""
    left = iter(range(number))
    return lambda: next(left, None) is None


def test_connections_are_accepted_one_at_a_time_so_that_idle_workers_get_some(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.socket())
    worker = working(stack, listener, App())
    connect(stack, listener, 100)

    worker.run_until(rounds(2))

    assert worker.server.count == 2


def fill_queue(app: App) -> None:
    app.admission.full = True
    app.extensions["engine"].settings.queue = 1


def test_connections_do_not_wait_behind_each_other_while_the_queue_is_full(stack: ExitStack) -> None:
    listener, app = stack.enter_context(socket.socket()), App()
    fill_queue(app)
    worker = working(stack, listener, app)
    connect(stack, listener, 100)

    worker.run_until(rounds(2))

    assert worker.server.count == 100


def test_a_worker_never_accepts_more_connections_than_it_may_hold(stack: ExitStack) -> None:
    listener, app = stack.enter_context(socket.socket()), App()
    fill_queue(app)
    worker = working(stack, listener, app, worker_connections=10)
    connect(stack, listener, 100)

    worker.run_until(rounds(3))

    assert worker.server.count == 10


def test_a_worker_without_file_descriptors_tries_again_four_times_a_second(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    listener = stack.enter_context(ExhaustedListener())
    worker = working(stack, listener, App())
    connect(stack, listener, 1)
    end = time.monotonic() + 1

    worker.run_until(lambda: time.monotonic() > end)

    assert 2 <= listener.attempts <= 5
    assert set(caplog.messages) == {"accept_failed"}


def test_a_worker_accepts_again_when_it_has_file_descriptors(stack: ExitStack) -> None:
    listener = stack.enter_context(ExhaustedListener())
    worker = working(stack, listener, App())
    connect(stack, listener, 1)
    listener.available = time.monotonic() + 0.1
    end = time.monotonic() + 30

    worker.run_until(lambda: worker.server.count == 1 or time.monotonic() > end)

    assert worker.server.count == 1
    assert listener.attempts == 2


@pytest.mark.parametrize("name", ["limit_request_line", "limit_request_fields", "limit_request_field_size"])
def test_a_limit_of_zero_is_no_limit(stack: ExitStack, name: str) -> None:
    listener = stack.enter_context(socket.socket())
    worker = working(stack, listener, App(), **{name: 0})
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
    client.settimeout(0)

    worker.run_until(lambda: bool(select.select([client], [], [], 0)[0]))

    assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def fail_in(directory: Path, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody create temporary files in `directory`."""
    create = tempfile.mkstemp

    def failing(*, prefix: str, dir: str) -> tuple[int, str]:
        if dir == str(directory):
            raise OSError(error, os.strerror(error))
        return create(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkstemp", failing)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_worker_whose_file_of_heartbeats_cannot_be_created_has_one_elsewhere(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    listener = stack.enter_context(socket.socket())
    stack.callback(os.umask, os.umask(0o077))
    fail_in(tmp_path, error, monkeypatch)

    worker = working(stack, listener, App(), worker_tmp_dir=str(tmp_path))

    assert worker.tmp.last_update() > 0
    assert os.umask(0o077) == 0o077
    assert caplog.messages == ["heartbeat_moved"]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.ENOMEM])
def test_another_error_is_not_taken_for_a_directory_without_room(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    listener = stack.enter_context(socket.socket())
    stack.callback(os.umask, os.umask(0o077))
    fail_in(tmp_path, error, monkeypatch)

    with pytest.raises(OSError, match=re.escape(os.strerror(error))):
        working(stack, listener, App(), worker_tmp_dir=str(tmp_path))

    assert not caplog.messages
