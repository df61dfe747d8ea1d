"""The sweep deletes expired batches and enqueues lost ones; nothing stops it."""

import logging
import time
from pathlib import Path

import pytest

from tests.support.workshop import HOUR, Clock, Killed, Workshop, die, stuck
from visage.batches import open_batches
from visage.batches.batch import new_id
from visage.batches.consumer import UNDESCRIBED_SECONDS, Sweeper
from visage.batches.state_machine import State
from visage.batches.store import Store, description_key
from visage.errors import (
    BatchesUnavailable,
    BatchNotFound,
)
from visage.log_format import JsonFormatter
from visage.logs import logger


@pytest.mark.parametrize("state", ["arriving", "waiting", "started", "done"])
def test_a_batch_expires_in_every_state(workshop: Workshop, tiny_png: bytes, state: str) -> None:
    sweeper = workshop.sweeper()
    if state == "arriving":
        batch_id = workshop.batches.create().id
    else:
        batch_id = workshop.submit(tiny_png, tiny_png)
        workshop.process(workshop.worker(), most={"waiting": 0, "started": 1, "done": 9}[state])
    workshop.clock.now = 24 * HOUR - 1
    sweeper.sweep()
    assert workshop.batches.exists(batch_id)

    workshop.clock.now = 24 * HOUR
    with pytest.raises(BatchNotFound):
        workshop.batches.progress(batch_id)
    sweeper.sweep()

    assert workshop.kept() == ([], {})


def test_the_sweep_completes_an_interrupted_deletion(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    with monkeypatch.context() as patch:
        patch.setattr(local.batches.states, "forget_files", die)
        with pytest.raises(Killed):
            local.batches.cancel(batch_id)
    with pytest.raises(BatchNotFound):
        local.batches.progress(batch_id)

    local.sweeper().sweep()

    assert local.kept() == ([], {})


def test_an_unreadable_batch_does_not_stop_the_sweep(
    local: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    batches = [local.submit(tiny_png) for _ in range(6)]
    description = local.settings.state_dir / "batches" / description_key(batches[0])
    description.unlink()
    description.mkdir()
    local.clock.now = 24 * HOUR

    with caplog.at_level(logging.WARNING, logger.name):
        local.sweeper().sweep()

    assert local.batches.store.ids() == batches[:1]
    assert [each.message for each in caplog.records] == ["batch_sweep_failed"]


def test_a_batch_that_cannot_be_deleted_does_not_stop_the_sweep_and_is_retried(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batches = [workshop.submit(tiny_png) for _ in range(6)]
    workshop.clock.now = 24 * HOUR
    sweeper = workshop.sweeper()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger.name):
        stuck(patch, batches[0])
        sweeper.sweep()

    assert workshop.batches.store.ids() == batches[:1]
    assert [each.message for each in caplog.records] == ["batch_sweep_failed"]
    assert batches[0] not in JsonFormatter().format(caplog.records[0])
    sweeper.sweep()
    assert workshop.kept() == ([], {})


def test_a_failed_deletion_raises_and_is_completed_later(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = workshop.submit(tiny_png)
    with monkeypatch.context() as patch:
        stuck(patch, batch_id)
        with pytest.raises(BatchesUnavailable):
            workshop.batches.cancel(batch_id)
    # The deletion got this far; its last step failed.
    workshop.batches.store.remove(description_key(batch_id))
    sweeper = workshop.sweeper()
    sweeper.sweep()
    workshop.clock.now += UNDESCRIBED_SECONDS

    sweeper.sweep()

    assert workshop.kept() == ([], {})


def test_a_folder_without_a_description_is_deleted_after_a_minute(local: Workshop) -> None:
    folder = local.settings.state_dir / "batches" / new_id()
    (folder / "out").mkdir(parents=True)
    sweeper = local.sweeper()

    sweeper.sweep()
    local.clock.now = UNDESCRIBED_SECONDS - 1
    sweeper.sweep()
    assert folder.exists()
    local.clock.now = UNDESCRIBED_SECONDS
    sweeper.sweep()

    assert not folder.exists()


@pytest.mark.parametrize(("state", "files_done"), [("waiting", 0), ("running", 1), ("done", 2)])
def test_batches_outlive_a_store_that_is_empty_for_a_while(
    workshop: Workshop, tiny_png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, files_done: int
) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    workshop.process(workshop.worker(), most=3 if state == "done" else files_done)
    sweeper = workshop.sweeper()
    before = workshop.batches.quota.reservations()
    with monkeypatch.context() as patch:
        # As a network file system that is not mounted.
        patch.setattr(workshop.batches, "store", Store(str(tmp_path / "empty")))
        for _ in range(3):
            sweeper.sweep()
            workshop.clock.now += UNDESCRIBED_SECONDS

    sweeper.sweep()

    assert workshop.batches.progress(batch_id).state.value == state
    assert workshop.batches.progress(batch_id).done == files_done
    assert workshop.batches.quota.reservations() == before


def test_the_sweep_ignores_foreign_folders(local: Workshop) -> None:
    foreign = local.settings.state_dir / "batches" / "lost+found"
    foreign.mkdir()
    sweeper = local.sweeper()

    for _ in range(3):
        sweeper.sweep()

    assert foreign.exists()


@pytest.mark.parametrize("others", [0, 1])
def test_the_sweep_enqueues_a_batch_whose_worker_died_between_two_steps(
    workshop: Workshop, tiny_png: bytes, others: int
) -> None:
    batch_id = workshop.submit(tiny_png)
    assert workshop.batches.queue.huey.dequeue() is not None
    for _ in range(others):
        workshop.submit(tiny_png)
    workshop.batches.queue.enqueue(batch_id)
    assert batch_id not in workshop.batches.queue.queued()

    workshop.sweeper().sweep()
    workshop.process(workshop.worker())

    assert workshop.batches.progress(batch_id).state is State.DONE


def test_the_sweep_does_not_enqueue_a_batch_twice(workshop: Workshop, tiny_png: bytes) -> None:
    for _ in range(3):
        workshop.submit(tiny_png)
    sweeper = workshop.sweeper()

    for _ in range(5):
        sweeper.sweep()

    assert workshop.batches.queue.huey.storage.queue_size() == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"created": 1}', b'{"created": null}'])
def test_a_batch_with_an_unreadable_description_is_not_found_and_is_deleted(
    local: Workshop, tiny_png: bytes, content: bytes
) -> None:
    good, bad = local.submit(tiny_png), local.submit(tiny_png)
    local.batches.store.write(description_key(bad), content)
    fresh = open_batches(local.settings)
    clock = Clock(time.time() + 25 * HOUR)
    later = Sweeper(fresh, clock)

    with pytest.raises(BatchNotFound):
        fresh.progress(bad)
    later.sweep()
    clock.now += UNDESCRIBED_SECONDS
    later.sweep()

    assert fresh.store.ids() == []
    with pytest.raises(BatchNotFound):
        fresh.progress(good)
