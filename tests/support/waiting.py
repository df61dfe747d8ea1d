"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable


def wait_for(happened: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
