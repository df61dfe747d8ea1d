"""Admission: exact counts of callers that hold a slot, wait, or are rejected."""

import signal
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


def test_a_free_slot_is_taken_without_waiting() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with admission.slot() as waited:
        assert waited < 10


def test_of_ten_callers_two_get_slots_three_wait_and_five_are_rejected() -> None:
    admission = Admission(slots=2, queue=3, wait_seconds=30)
    rejected = threading.Semaphore(0)
    finish = threading.Event()

    def call() -> str:
        try:
            with admission.slot():
                finish.wait(30)
                return "served"
        except QueueFull:
            rejected.release()
            return "rejected"

    with ThreadPoolExecutor(10) as pool:
        calls = [pool.submit(call) for _ in range(10)]
        for _ in range(5):
            assert rejected.acquire(timeout=30)
        waiting = admission.waiting
        finish.set()
        outcomes = [each.result() for each in calls]

    assert waiting == 3
    assert outcomes.count("served") == 5
    assert outcomes.count("rejected") == 5


def test_it_is_busy_while_every_slot_is_held() -> None:
    admission = Admission(slots=2, queue=0, wait_seconds=0)
    seen = [admission.busy]

    with admission.slot():
        seen.append(admission.busy)
        with admission.slot():
            seen.append(admission.busy)
    seen.append(admission.busy)

    assert seen == [False, False, True, False]


def test_it_is_idle_from_the_release_of_the_last_slot() -> None:
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


def test_a_caller_that_waits_too_long_gets_a_timeout() -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=0.01)

    with admission.slot(), pytest.raises(WaitTimeout, match=r"within 0\.01 seconds"), admission.slot():
        pass

    assert admission.waiting == 0


def test_a_slot_is_released_when_its_caller_fails() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)

    with pytest.raises(RuntimeError), admission.slot():
        raise RuntimeError

    with admission.slot():
        pass


@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize("background", [False, True])
def test_an_interrupted_caller_leaves_the_queue(background: bool) -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=30)
    main_thread = threading.get_ident()

    def interrupt() -> None:
        wait_for(lambda: len(admission._waiters) == 1)
        signal.pthread_kill(main_thread, signal.SIGINT)

    with ThreadPoolExecutor(1) as pool, admission.slot():
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt), admission.slot(background=background):
            pass

    assert admission.load == (0, 0)
    assert not admission._waiters


def test_a_slot_that_an_interrupted_caller_was_given_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(slots=1, queue=1, wait_seconds=30)
    wait = threading.Event.wait

    def interrupted_wait(self: threading.Event, timeout: float | None = None) -> bool:
        wait(self, timeout)
        raise KeyboardInterrupt

    def call() -> None:
        with admission.slot():
            pass

    with ThreadPoolExecutor(1) as pool:
        # The start of a thread waits for an event, too.
        pool.submit(int).result()
        with admission.slot():
            monkeypatch.setattr(threading.Event, "wait", interrupted_wait)
            interrupted = pool.submit(call)
            wait_until(admission, waiting=1)
        with pytest.raises(KeyboardInterrupt):
            interrupted.result()

    assert admission.load == (0, 0)


def test_both_errors_say_when_to_retry() -> None:
    assert (QueueFull.status, QueueFull("").retry_after) == (429, 1)
    assert (WaitTimeout.status, WaitTimeout("").retry_after) == (503, 1)


def test_the_load_counts_callers_that_hold_a_slot_and_that_wait() -> None:
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


def test_slots_go_to_callers_in_the_order_of_arrival() -> None:
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
        # These arrive while slots are handed over.
        for number in range(40, 50):
            pool.submit(call, number)

    assert served[:40] == list(range(40))
    assert sorted(served) == list(range(50))


def test_it_is_full_while_a_caller_would_be_rejected() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    assert not admission.full

    with admission.slot():
        assert admission.full


def test_a_background_caller_keeps_the_order_of_arrival() -> None:
    admission = Admission(slots=1, queue=8, wait_seconds=30)
    order: list[str] = []

    def call(name: str, *, background: bool) -> None:
        with admission.slot(background=background):
            order.append(name)

    with ThreadPoolExecutor(3) as pool, admission.slot():
        pool.submit(call, "photo", background=False)
        wait_until(admission, waiting=1)
        pool.submit(call, "tile", background=True)
        wait_for(lambda: len(admission._waiters) == 2)
        pool.submit(call, "newcomer", background=False)
        wait_until(admission, waiting=2)

    assert order == ["photo", "tile", "newcomer"]
    assert not admission.busy


def test_a_background_caller_takes_no_place_in_the_queue_and_is_not_rejected() -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0.01)
    done: list[tuple[float, tuple[int, int]]] = []

    def tile() -> None:
        with admission.slot(background=True) as waited:
            done.append((waited, admission.load))

    with ThreadPoolExecutor(1) as pool:
        with admission.slot():
            call = pool.submit(tile)
            wait_for(lambda: len(admission._waiters) == 1)
            waiting, full = admission.waiting, admission.full
            # Longer than `wait_seconds`.
            time.sleep(0.05)
        call.result()

    ((waited, load),) = done
    assert (waiting, full) == (0, True)
    assert waited >= 0.05
    assert load == (1, 0)
    assert admission.load == (0, 0)


def test_background_callers_and_photos_all_get_slots() -> None:
    admission = Admission(slots=2, queue=100, wait_seconds=30)
    lock = threading.Lock()
    active, most, done = 0, 0, 0

    def call(*, background: bool) -> None:
        nonlocal active, most, done
        with admission.slot(background=background):
            with lock:
                active += 1
                most = max(most, active)
            time.sleep(0.001)
            with lock:
                active, done = active - 1, done + 1

    def tiles() -> None:
        for _ in range(50):
            call(background=True)

    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(tiles) for _ in range(2)] + [pool.submit(call, background=False) for _ in range(100)]
        for each in calls:
            each.result()

    assert (most, done) == (2, 200)
    assert (admission.waiting, admission.busy) == (0, False)
