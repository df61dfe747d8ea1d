"""Admission: exact counts of who works, who waits and who is turned away."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from visage.errors import QueueFull, WaitTimeout
from visage.runtime.admission import Admission


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def wait_until(admission: Admission, waiting: int) -> None:
    wait_for(lambda: admission.waiting == waiting)


def test_a_free_slot_is_had_at_once() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with admission.slot() as waited:
        assert waited < 10


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


def test_it_is_at_rest_from_when_the_last_slot_was_given_back() -> None:
    admission = Admission(slots=2, queue=0, wait_seconds=1)
    assert admission.idle_since is None

    with admission.slot():
        with admission.slot():
            pass
        assert admission.idle_since is None
    first = admission.idle_since
    with admission.slot():
        assert admission.idle_since is None

    assert first is not None
    assert admission.idle_since is not None
    assert first < admission.idle_since <= time.monotonic()


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


def test_who_works_and_who_waits_is_known_at_every_moment() -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=30)
    loads = [admission.load]

    def call() -> None:
        with admission.slot():
            loads.append(admission.load)

    with ThreadPoolExecutor(1) as pool:
        with admission.slot():
            loads.append(admission.load)
            waiting = pool.submit(call)
            wait_until(admission, waiting=1)
            loads.append(admission.load)
        waiting.result()
    loads.append(admission.load)

    assert loads == [(0, 0), (1, 0), (1, 1), (1, 0), (0, 0)]


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


def test_a_patient_caller_takes_its_turn_like_everybody() -> None:
    admission = Admission(slots=1, queue=8, wait_seconds=30)
    order: list[str] = []

    def call(name: str, *, patient: bool) -> None:
        with admission.slot(patient=patient):
            order.append(name)

    with ThreadPoolExecutor(3) as pool, admission.slot():
        pool.submit(call, "photo", patient=False)
        wait_until(admission, waiting=1)
        pool.submit(call, "tile", patient=True)
        wait_for(lambda: len(admission._turns) == 2)
        pool.submit(call, "newcomer", patient=False)
        wait_until(admission, waiting=2)

    assert order == ["photo", "tile", "newcomer"]
    assert not admission.busy


def test_a_patient_caller_takes_no_place_in_the_queue_and_is_not_turned_away() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0.01)
    done: list[tuple[float, tuple[int, int]]] = []

    def tile() -> None:
        with admission.slot(patient=True) as waited:
            done.append((waited, admission.load))

    with ThreadPoolExecutor(1) as pool:
        with admission.slot():
            call = pool.submit(tile)
            wait_for(lambda: len(admission._turns) == 1)
            waiting, full = admission.waiting, admission.full
            # Longer than anybody else may wait.
            time.sleep(0.05)
        call.result()

    ((waited, load),) = done
    assert (waiting, full) == (0, True)
    assert waited >= 0.05
    assert load == (1, 0)
    assert admission.load == (0, 0)


def test_work_of_many_parts_and_many_photos_all_come_to_an_end() -> None:
    admission = Admission(slots=2, queue=100, wait_seconds=30)
    lock = threading.Lock()
    working, most, done = 0, 0, 0

    def call(*, patient: bool) -> None:
        nonlocal working, most, done
        with admission.slot(patient=patient):
            with lock:
                working += 1
                most = max(most, working)
            time.sleep(0.001)
            with lock:
                working, done = working - 1, done + 1

    def tiles() -> None:
        for _ in range(50):
            call(patient=True)

    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(tiles) for _ in range(2)] + [pool.submit(call, patient=False) for _ in range(100)]
        for each in calls:
            each.result()

    assert (most, done) == (2, 200)
    assert (admission.waiting, admission.busy) == (0, False)
