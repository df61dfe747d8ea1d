"""The main loop runs what other threads ask for, and wakes for it."""

import os
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from visage.server.main_loop import MainLoop


@pytest.fixture
def loop() -> Iterator[MainLoop]:
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    loop = MainLoop((read_end, write_end))
    yield loop
    loop.close()
    os.close(read_end)
    os.close(write_end)


def test_a_call_from_another_thread_ends_the_poll_and_runs_in_it(loop: MainLoop) -> None:
    calls: list[int] = []

    def ask() -> None:
        time.sleep(0.1)
        loop.defer(calls.append, 1)

    thread = Thread(target=ask)
    thread.start()
    loop.poll(60)
    thread.join()

    assert calls == [1]


def test_a_deferred_call_may_defer_another_one_for_the_next_poll(loop: MainLoop) -> None:
    calls: list[str] = []
    loop.defer(lambda: loop.defer(calls.append, "second"))

    loop.poll(60)
    assert calls == []
    loop.poll(60)
    assert calls == ["second"]


def test_a_full_pipe_loses_no_call(loop: MainLoop) -> None:
    calls: list[int] = []
    for number in range(100_000):
        loop.defer(calls.append, number)

    loop.poll(60)

    assert len(calls) == 100_000
