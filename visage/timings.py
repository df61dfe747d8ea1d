"""Where the time of a photo goes."""

import time


class Stopwatch:
    """Laps in seconds by the name of the stage that they end; created running."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """End `stage`: what passed since the last lap is its time."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
