"""Where the time of a photo goes."""

import time
from collections.abc import Callable


class Stopwatch:
    """Laps in seconds by the name of the stage that they end; created running."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End `stage`: what passed since the last lap is its time."""
        now = self._clock()
        self.seconds[stage] = now - self._last
        self._last = now
