"""Work that goes on no further until the rest has been called off, however long whoever does that may take."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest


def until_called_off(monkeypatch: pytest.MonkeyPatch, module: str) -> threading.Event:
    """What is set when the pool of threads of a module is told to end: work can wait for it."""
    called_off = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            called_off.set()
            super().shutdown(wait)

    monkeypatch.setattr(f"{module}.ThreadPoolExecutor", Pool)
    return called_off
