"""Waiting for other processes and threads."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest


def wait_for(happened: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def cancellation_event(monkeypatch: pytest.MonkeyPatch, module: str) -> threading.Event:
    """An event that is set when a module's thread pool shuts down, after its pending tasks were cancelled.

    A running task can wait for it, so that it never finishes before the cancellation of the others.
    """
    cancelled = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            cancelled.set()
            super().shutdown(wait)

    monkeypatch.setattr(f"{module}.ThreadPoolExecutor", Pool)
    return cancelled
