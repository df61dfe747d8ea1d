"""Admission: exact counts of who works, who waits and who is turned away."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from visage.admission import Admission
from visage.errors import QueueFull, WaitTimeout


def test_a_free_slot_is_had_at_once() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with admission.slot() as waited:
        assert waited < 0.1


def test_of_ten_callers_two_work_three_wait_and_five_are_turned_away() -> None:
    admission = Admission(slots=2, queue=3, wait_seconds=30)
    turned_away = threading.Semaphore(0)
    finish = threading.Event()

    def call() -> str:
        try:
            with admission.slot():
                finish.wait(30)
                return "worked"
        except QueueFull:
            turned_away.release()
            return "turned away"

    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(call) for _ in range(10)]
        for _ in range(5):
            assert turned_away.acquire(timeout=30)
        waiting = admission.waiting
        finish.set()
        outcomes = [each.result() for each in calls]

    assert waiting == 3
    assert outcomes.count("worked") == 5
    assert outcomes.count("turned away") == 5


def test_busy_is_who_has_no_slot_free() -> None:
    admission = Admission(slots=2, queue=0, wait_seconds=0)
    seen = [admission.busy]

    with admission.slot():
        seen.append(admission.busy)
        with admission.slot():
            seen.append(admission.busy)
    seen.append(admission.busy)

    assert seen == [False, False, True, False]


def test_a_wait_that_is_too_long_ends_in_a_timeout() -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=0.01)

    with admission.slot(), pytest.raises(WaitTimeout, match=r"within 0\.01 seconds"), admission.slot():
        pass

    assert admission.waiting == 0


def test_a_slot_is_given_back_when_its_work_fails() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with pytest.raises(RuntimeError), admission.slot():
        raise RuntimeError

    with admission.slot():
        pass


def test_both_refusals_say_when_to_come_back() -> None:
    assert (QueueFull.status, QueueFull("").retry_after) == (429, 1)
    assert (WaitTimeout.status, WaitTimeout("").retry_after) == (503, 1)


def test_a_watcher_is_told_how_many_work_and_wait_whenever_that_changes() -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=0.01)
    told: list[tuple[int, int]] = []
    admission.watcher = lambda working, waiting: told.append((working, waiting))

    with admission.slot(), pytest.raises(WaitTimeout), admission.slot():
        pass

    assert told == [(1, 0), (1, 1), (1, 0), (0, 0)]
    assert not admission.busy


def test_whoever_has_waited_longest_is_next_and_newcomers_do_not_overtake() -> None:
    admission = Admission(slots=1, queue=50, wait_seconds=30)
    served: list[int] = []

    def call(number: int) -> None:
        with admission.slot():
            served.append(number)

    with ThreadPoolExecutor(50) as pool:
        with admission.slot():
            for number in range(40):
                pool.submit(call, number)
                while admission.waiting <= number:
                    time.sleep(0.001)
        # These come while slots are handed on.
        for number in range(40, 50):
            pool.submit(call, number)

    assert served[:40] == list(range(40))
    assert sorted(served) == list(range(50))


def test_who_would_be_turned_away_is_told_so_beforehand() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    assert not admission.full

    with admission.slot():
        assert admission.full


def test_who_gives_way_is_next_after_those_who_wait_already() -> None:
    admission = Admission(slots=1, queue=8, wait_seconds=30)
    order: list[str] = []

    def photo(name: str) -> None:
        with admission.slot():
            order.append(name)

    with ThreadPoolExecutor(4) as pool, admission.slot():
        for count, name in enumerate(("first", "second"), 1):
            pool.submit(photo, name)
            while admission.waiting < count:
                time.sleep(0.001)
        seconds = admission.give_way()
        order.append("the one that gave way")

    assert order == ["first", "second", "the one that gave way"]
    assert seconds > 0


def test_nobody_waits_who_gives_way_to_nobody() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with admission.slot():
        assert admission.give_way() == 0
        assert admission.busy

    assert not admission.busy


def test_who_has_given_way_takes_no_place_in_the_queue_and_is_not_turned_away() -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=0.05)
    told: list[tuple[int, int]] = []
    works, finish = threading.Event(), threading.Event()

    def photo() -> None:
        with admission.slot():
            works.set()
            finish.wait(30)

    def patient() -> None:
        with admission.slot():
            pool.submit(photo)
            while admission.waiting < 1:
                time.sleep(0.001)
            admission.give_way()

    with ThreadPoolExecutor(3) as pool:
        gave_way = pool.submit(patient)
        assert works.wait(30)
        waiting, full = admission.waiting, admission.full
        # A newcomer gets the one place, for as long as anybody may wait; who gave way waits on.
        with pytest.raises(WaitTimeout), admission.slot():
            pass
        admission.watcher = lambda working, waiting: told.append((working, waiting))
        finish.set()
        gave_way.result()

    assert (waiting, full) == (0, False)
    assert told == [(1, 0), (0, 0)]


def test_with_a_slot_free_to_others_giving_way_lets_the_longest_wait_go_first() -> None:
    admission = Admission(slots=2, queue=8, wait_seconds=30)
    served: list[int] = []
    finish = threading.Event()

    def photo(number: int) -> None:
        with admission.slot():
            served.append(number)

    def hold() -> None:
        with admission.slot():
            finish.wait(30)

    with ThreadPoolExecutor(8) as pool:
        pool.submit(hold)
        with admission.slot():
            for number in range(4):
                pool.submit(photo, number)
                while admission.waiting <= number:
                    time.sleep(0.001)
            admission.give_way()
            done_before = list(served)
            finish.set()

    assert done_before == [0, 1, 2, 3]
