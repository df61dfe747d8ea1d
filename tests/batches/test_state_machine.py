"""States and results: every file gets exactly one result, even if processes die."""

import logging
import threading
from typing import Any

import pytest

from tests.support.workshop import HookedEngine, Killed, Workshop, codes, die, end_process_of, unreachable
from visage.batches.batch import new_id
from visage.batches.processing import FATAL, LOST, UNEXPECTED
from visage.batches.results import Done, Failure, Result, result_from_json, result_to_json
from visage.batches.state_machine import (
    BATCH_TRANSITIONS,
    FILE_TRANSITIONS,
    MAX_ATTEMPTS,
    End,
    Lease,
    State,
    end_from_json,
    end_to_json,
)
from visage.batches.store import input_key, output_key


def test_a_file_in_progress_is_not_started_again_by_the_same_process(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    started: list[bytes] = []

    def process_again(photo: bytes) -> None:
        started.append(photo)
        for workshop.clock.now in (1000, 2000, 3000):
            workshop.batches.queue.enqueue(batch_id)
            workshop.process(worker)

    worker = workshop.worker(engine=HookedEngine(workshop.engine, process_again))
    workshop.process(worker)

    assert started == [tiny_png]
    assert codes(workshop, batch_id) == ["done"]


def test_a_result_that_could_not_be_recorded_is_made_again(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png)
    worker = workshop.worker()
    with monkeypatch.context() as patch:
        for name in ("record", "expire"):
            patch.setattr(workshop.batches.states, name, unreachable)
        workshop.process(worker, most=1)

    workshop.sweeper().sweep()
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done"]
    assert [output.open().read() for output in workshop.batches.outputs(batch_id)] != []


def test_a_file_with_a_result_is_not_processed_again(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    workshop.batches.states.record(batch_id, 1, Done(99, 1))
    workshop.batches.store.write(output_key(batch_id, 1, 1), b"result")

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, die)))

    assert [each.faces for each in workshop.batches.status(batch_id).files] == [99]


@pytest.mark.parametrize("outcome", [Done(99, 2), Failure("Another worker failed.", "other")])
def test_a_late_result_is_discarded(workshop: Workshop, tiny_png: bytes, outcome: Done | Failure) -> None:
    batch_id = workshop.submit(tiny_png)

    def another_worker_is_first(_photo: bytes) -> None:
        if isinstance(outcome, Done):
            workshop.batches.store.write(output_key(batch_id, 1, 2), b"another's")
        assert workshop.batches.states.record(batch_id, 1, outcome)

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, another_worker_is_first)))

    (file,) = workshop.batches.status(batch_id).files
    assert (file.faces, file.failure) == ((99, None) if isinstance(outcome, Done) else (None, outcome))
    contents = [each.open().read() for each in workshop.batches.outputs(batch_id)]
    assert contents == ([b"another's"] if isinstance(outcome, Done) else [])
    assert not workshop.batches.store.has(output_key(batch_id, 1, 1))


def test_a_result_after_the_end_of_the_batch_is_discarded(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)

    def other_worker_finishes(_photo: bytes) -> None:
        owner = workshop.owner("here")
        workshop.batches.states.mark_dead(cut_off.id)
        workshop.process(workshop.worker(owner))

    cut_off = workshop.owner("elsewhere")
    workshop.process(workshop.worker(cut_off, HookedEngine(workshop.engine, other_worker_finishes)))

    assert workshop.batches.progress(batch_id).state is State.DONE
    assert list(workshop.kept()[1]) == [f"{batch_id}.end", f"{batch_id}.counts"]
    assert list(workshop.batches.store.sizes(f"{batch_id}/out")) == [output_key(batch_id, 1, 2)]


def test_a_photo_that_kills_every_process_fails_after_three_attempts_and_no_other_fails(
    local: Workshop, tiny_png: bytes, tiny_jpeg: bytes
) -> None:
    batch_id = local.submit(tiny_png, tiny_jpeg, tiny_png)
    deaths = 0

    def die_of_jpeg(photo: bytes) -> None:
        if photo == tiny_jpeg:
            raise Killed

    for _ in range(10):
        owner = local.owner()
        local.sweeper().sweep()
        try:
            local.process(local.worker(owner, HookedEngine(local.engine, die_of_jpeg)))
        except Killed:
            deaths += 1
        end_process_of(owner)

    assert codes(local, batch_id) == ["done", FATAL.code, "done"]
    assert deaths == MAX_ATTEMPTS


def test_an_unexpected_error_fails_a_photo_without_another_attempt(
    workshop: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    failures = iter([RuntimeError("from OpenCV")])

    def fail_once(_photo: bytes) -> None:
        for error in failures:
            raise error

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, fail_once)))

    assert codes(workshop, batch_id) == [UNEXPECTED.code, "done"]
    assert "batch_file_unexpected" in caplog.messages


def test_a_missing_photo_fails_as_lost(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    local.batches.store.remove(input_key(batch_id, 1))

    local.process(local.worker())

    assert codes(local, batch_id) == [LOST.code, "done"]


def test_threads_process_each_file_of_a_batch_once(
    workshop: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = workshop.submit(*[tiny_png] * 40)
    worker = workshop.worker()

    with caplog.at_level(logging.INFO, "visage"):
        threads = [threading.Thread(target=workshop.process, args=(worker,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workshop.process(worker)

    fields = [getattr(record, "fields", {}) for record in caplog.records if record.message == "batch_file"]
    assert sorted(each["file"] for each in fields) == list(range(1, 41))
    assert workshop.batches.progress(batch_id).done == 40


# Transitions.


def test_the_tables_have_every_state() -> None:
    assert set(BATCH_TRANSITIONS) == set(State)
    assert set(FILE_TRANSITIONS) == set(State) - {State.CANCELLED}


@pytest.mark.parametrize("after", [State.DONE, State.FAILED, State.CANCELLED])
@pytest.mark.parametrize("before", [State.DONE, State.FAILED, State.CANCELLED])
def test_an_end_replaces_another_only_where_the_table_allows_it(local: Workshop, before: State, after: State) -> None:
    batch_id, states = new_id(), local.batches.states
    states.end(batch_id, End(before, 1))

    end = states.end(batch_id, End(after, 2))

    expected = End(after, 2) if after in BATCH_TRANSITIONS[before] else End(before, 1)
    assert end == states.end_of(batch_id) == expected


@pytest.mark.parametrize("after", [Done(2, 1), Failure("It is empty.", "empty_image")])
@pytest.mark.parametrize("before", [Done(1, 1), Failure("It is damaged.", "bad_image")])
def test_a_result_is_never_replaced(local: Workshop, before: Result, after: Result) -> None:
    batch_id, states = new_id(), local.batches.states
    states.record(batch_id, 1, before)

    assert not states.record(batch_id, 1, after)

    assert states.results(batch_id, [1]) == {1: before}


# The form in which version 0.1 stored results and ends.


@pytest.mark.parametrize(
    ("stored", "result"),
    [
        ({"faces": None, "attempt": 1}, Done(None, 1)),
        ({"error": "It is empty.", "code": "empty_image"}, Failure("It is empty.", "empty_image")),
    ],
)
def test_stored_results_of_version_0_1_are_read_and_written(stored: dict[str, Any], result: Result) -> None:
    assert result_from_json(stored) == result
    assert result_to_json(result) == stored


def test_a_result_with_boxes_drawn_by_hand_is_read_as_it_was_written() -> None:
    result = Done(2, 1, cover=3)

    assert result_from_json(result_to_json(result)) == result


def test_stored_ends_of_version_0_1_are_read_and_written() -> None:
    stored = {"state": "failed", "done": 1, "failed": 2, "reason": "There is no room."}

    assert end_from_json(stored) == End(State.FAILED, 1, 2, "There is no room.")
    assert end_to_json(End(State.FAILED, 1, 2, "There is no room.")) == stored


def test_the_queue_has_the_keys_of_version_0_1(workshop: Workshop) -> None:
    states = workshop.batches.states
    states.lease(Lease("batch", 1, 2, "owner"))
    states.record("batch", 1, Done(3, 2))
    workshop.batches.queue.enqueue("batch")
    states.end("batch", End(State.DONE, 1))

    assert set(workshop.kept()[1]) == {"batch.1.2", "batch.1", "batch.queued", "batch.end"}
