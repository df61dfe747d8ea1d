"""Cancels an enhancement whose client has disconnected, or that would delay a stop of the service."""

import time
from threading import Event
from typing import Protocol

from werkzeug.exceptions import ClientDisconnected

from visage.errors import NotReady
from visage.runtime.enhancer import Enhancer

# Longest remaining time of an enhancement after a stop signal. gunicorn's graceful timeout is 30 s
# (server/start/gunicorn_config.py).
# Encoding takes up to 14 s of it (`python -m benchmarks.enhance formats`), and the current tile comes first.
MAX_SECONDS_AFTER_STOP = 10.0


class Client(Protocol):
    """The connection that waits for the picture."""

    @property
    def disconnected(self) -> bool:
        """Whether the client has closed it."""


class Cancellation:
    """Progress callback that aborts the enhancement of one picture."""

    def __init__(self, client: Client | None, stopping: Event, enhancer: Enhancer) -> None:
        """Watch `client` (None if unknown) and `stopping`, which is set when the worker stops."""
        self._client = client
        self._stopping = stopping
        self._enhancer = enhancer
        self._started = time.monotonic()

    def __call__(self, done: int, tiles: int) -> None:
        """Raise to abort the enhancement after `done` of `tiles`.

        Raises:
            ClientDisconnected: the client has disconnected.
            NotReady: the worker stops, and the picture would take too long.
        """
        if self._client is not None and self._client.disconnected:
            raise ClientDisconnected
        if self._stopping.is_set() and self._remaining_seconds(done, tiles) > MAX_SECONDS_AFTER_STOP:
            raise NotReady("The service is being stopped before this picture can be finished; send it again.")

    def _remaining_seconds(self, done: int, tiles: int) -> float:
        """Estimate from the tiles so far; before the first, the time of the enhancer's last picture."""
        if done == 0:
            self._started = time.monotonic()
            return self._enhancer.expected_seconds
        return (time.monotonic() - self._started) / done * (tiles - done)
