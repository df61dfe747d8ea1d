"""Waiting for what another process or thread does."""

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


def until_called_off(monkeypatch: pytest.MonkeyPatch, module: str) -> threading.Event:
    """What is set when the pool of threads of a module is told to end.

    Work can wait for it, and then goes on no further until the rest has been called off.
    """
    called_off = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            called_off.set()
            super().shutdown(wait)

    monkeypatch.setattr(f"{module}.ThreadPoolExecutor", Pool)
    return called_off
