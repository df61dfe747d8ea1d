"""The watchdog ends what takes too long, in order, and leaves alone what was in time."""

import threading
import time
from unittest.mock import Mock

import pytest

from visage.web.watchdog import Watchdog


def test_what_takes_too_long_is_called_off() -> None:
    called = threading.Event()

    with Watchdog().limit(0.05, called.set):
        assert called.wait(5)


def test_what_is_done_in_time_is_left_alone() -> None:
    called = threading.Event()
    watchdog = Watchdog()

    with watchdog.limit(0.05, called.set):
        pass
    with watchdog.limit(0.1, threading.Event().set):
        time.sleep(0.15)

    assert not called.is_set()


def test_a_later_and_shorter_limit_comes_first() -> None:
    watchdog = Watchdog()
    calls: list[str] = []
    second = threading.Event()

    def late() -> None:
        calls.append("late")
        second.set()

    with watchdog.limit(0.3, late), watchdog.limit(0.05, lambda: calls.append("early")):
        assert second.wait(5)

    assert calls == ["early", "late"]


def test_all_limits_of_a_process_share_one_thread() -> None:
    before = threading.active_count()
    watchdog = Watchdog()

    for _ in range(50):
        with watchdog.limit(60, pytest.fail):
            pass

    assert threading.active_count() == before + 1


def test_what_was_in_time_is_let_go_of() -> None:
    watchdog = Watchdog()
    with watchdog.limit(60, pytest.fail):
        pass

    assert [deadline.action for deadline in watchdog._deadlines] == [None]


def test_an_action_that_fails_costs_no_other_its_limit() -> None:
    watchdog = Watchdog()
    called = threading.Event()

    with watchdog.limit(0.01, Mock(side_effect=ValueError)), watchdog.limit(0.05, called.set):
        assert called.wait(5)
