"""How long each stage of a photo takes."""

import time


class Timings:
    """Seconds by stage. The clock starts when the object is created."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def record(self, stage: str) -> None:
        """Store the seconds since the last call, or since the start, as the time of `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
