"""Stores and queues that are unavailable or lose data."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import GIF
from tests.support.service import free_port
from tests.support.workshop import (
    Workshop,
    codes,
    stale,
    unreachable,
)
from visage.batches import open_batches
from visage.batches.processing import Processor
from visage.batches.state_machine import MAX_ATTEMPTS, State
from visage.batches.store import Store, input_key
from visage.errors import (
    BatchesUnavailable,
    SettingsError,
)
from visage.logs import logger
from visage.settings import Settings


def test_a_done_batch_is_not_processed_again_if_the_queue_lost_its_data(workshop: Workshop, tiny_png: bytes) -> None:
    done = workshop.submit(tiny_png, GIF)
    workshop.process(workshop.worker())
    before = workshop.batches.status(done)
    workshop.batches.queue.huey.storage.flush_all()

    assert workshop.batches.status(done) == before
    workshop.batches.queue.huey.storage.flush_all()
    workshop.sweeper().sweep()
    workshop.process(workshop.worker())

    assert workshop.batches.status(done) == before


def test_a_short_outage_of_the_store_fails_no_file(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png, tiny_png)
    worker = workshop.worker()

    with monkeypatch.context() as patch:
        workshop.batches.progress(batch_id)
        patch.setattr(Store, "read", unreachable)
        workshop.process(worker, most=2)
    workshop.process(worker)
    workshop.sweeper().sweep()
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done"]


def test_an_outage_of_the_store_while_a_result_is_recorded_deletes_no_batch(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png, tiny_png)
    results: list[Any] = []
    worker = workshop.worker(on_result=results.append)
    with monkeypatch.context() as patch:
        record = workshop.batches.states.record

        def record_and_lose_store(*arguments: Any) -> bool:
            stale(patch, "batch.json")
            return record(*arguments)

        patch.setattr(workshop.batches.states, "record", record_and_lose_store)
        with caplog.at_level(logging.WARNING, logger.name):
            workshop.process(worker, most=1)

    assert caplog.records == []
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done"]
    assert len(list(workshop.batches.outputs(batch_id))) == len(results) == 2


def test_a_store_that_hides_a_batch_once_loses_none(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(*[tiny_png] * 3)
    worker = workshop.worker()
    record = workshop.batches.states.record

    def record_and_hide_batch(patch: pytest.MonkeyPatch, *arguments: Any) -> bool:
        patch.setattr(Store, "has", lambda *_: False)
        return record(*arguments)

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(workshop.batches.states, "record", partial(record_and_hide_batch, patch))
            workshop.process(worker, most=1)
    workshop.sweeper().sweep()
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done", "done"]
    assert len(list(workshop.batches.outputs(batch_id))) == 3


@pytest.mark.parametrize("answer", ["an error", "not found"])
def test_an_outage_of_the_store_when_a_batch_ends_deletes_nothing(
    workshop: Workshop,
    tiny_png: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: str,
) -> None:
    batch_id = workshop.submit(tiny_png)
    worker = workshop.worker()
    workshop.process(worker, most=1)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger.name):
        end = workshop.batches.states.end

        def end_and_lose_store(*arguments: Any) -> Any:
            if answer == "not found":
                patch.setattr(Store, "has", lambda *_: False)
            else:
                stale(patch, "batch.json")
            return end(*arguments)

        patch.setattr(workshop.batches.states, "end", end_and_lose_store)
        workshop.process(worker)

    assert caplog.records == []
    assert workshop.batches.progress(batch_id).state is State.DONE
    assert len(list(workshop.batches.outputs(batch_id))) == 1


def test_a_batch_is_done_only_when_its_photos_are_deleted(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png)
    worker = workshop.worker()
    with monkeypatch.context() as patch:
        for name in ("remove", "remove_all"):
            patch.setattr(Store, name, unreachable)
        for _ in range(2):
            workshop.sweeper().sweep()
            workshop.process(worker)
        assert workshop.batches.progress(batch_id).state is State.RUNNING

    workshop.sweeper().sweep()
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done"]
    assert not workshop.batches.store.has(input_key(batch_id, 1))


def test_an_unavailable_store_raises_unavailable_instead_of_not_found(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = local.submit(tiny_png)
    local.process(local.worker())
    for call, name in ((local.batches.progress, "batch.json"), (local.batches.outputs, "out")):
        with monkeypatch.context() as patch:
            stats = stale(patch, name)
            with pytest.raises(BatchesUnavailable):
                call(batch_id)
            assert stats


def test_nothing_is_processed_again_if_the_queue_lost_its_data_and_the_store_is_unavailable(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png, tiny_png)
    worker = workshop.worker()
    workshop.process(worker)
    before = workshop.batches.status(batch_id)
    workshop.batches.queue.huey.storage.flush_all()
    sweeper = workshop.sweeper()
    with monkeypatch.context() as patch:
        stats = stale(patch, "outcome.json")
        for _ in range(3):
            sweeper.sweep()
            workshop.process(worker)
        assert stats

    sweeper.sweep()
    workshop.process(worker)

    assert workshop.batches.status(batch_id) == before


def test_an_engine_that_cannot_be_loaded_fails_no_file(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = local.submit(tiny_png)
    broken = Processor(local.batches, local.owner("machine"), lambda: (_ for _ in ()).throw(SettingsError("No pack.")))
    for _ in range(MAX_ATTEMPTS + 1):
        local.sweeper().sweep()
        local.process(broken)

    local.sweeper().sweep()
    local.process(local.worker())

    assert codes(local, batch_id) == ["done"]


def test_a_redis_that_is_down_raises_unavailable(tmp_path: Path) -> None:
    batches = open_batches(Settings(state_dir=tmp_path, batch_redis=f"redis://127.0.0.1:{free_port()}/0"))

    with pytest.raises(BatchesUnavailable):
        batches.create()

    assert list((tmp_path / "batches").iterdir()) == []
