"""Whether a picture that is being enlarged is worth going on with: somebody must want it, and there must be time."""

import time
from threading import Event
from typing import Protocol

from werkzeug.exceptions import ClientDisconnected

from visage.errors import NotReady
from visage.runtime.enhancer import Enhancer

# What a process that is to end gives an enlargement. gunicorn gives it 30 (gunicorn.conf.py), of which the encoder may
# take 14 (`python -m benchmarks.superres formats`), and the tile in hand comes first.
MOST_SECONDS_AFTER_STOP = 10.0


class Client(Protocol):
    """Whom a picture is for."""

    @property
    def disconnected(self) -> bool:
        """Whether nobody waits for it any more."""


class Wanted:
    """Told of every tile, it ends what is in vain. For one picture."""

    def __init__(self, client: Client | None, stopping: Event, enhancer: Enhancer) -> None:
        """`client` is whom the picture is for, if that is known; `stopping` is set when the process is to end."""
        self._client = client
        self._stopping = stopping
        self._enhancer = enhancer
        self._began = time.monotonic()

    def __call__(self, done: int, tiles: int) -> None:
        """Go on, or raise.

        Raises:
            ClientDisconnected: nobody waits for the picture any more.
            NotReady: the process is to end, and would before the picture is there.
        """
        if self._client is not None and self._client.disconnected:
            raise ClientDisconnected
        if self._stopping.is_set() and self._seconds_left(done, tiles) > MOST_SECONDS_AFTER_STOP:
            raise NotReady("The service is being stopped, and this picture takes too long for that; send it again.")

    def _seconds_left(self, done: int, tiles: int) -> float:
        """What is to be expected: as long as the last picture took, and then as long a tile as those so far."""
        if done == 0:
            self._began = time.monotonic()
            return self._enhancer.expected_seconds
        return (time.monotonic() - self._began) / done * (tiles - done)
