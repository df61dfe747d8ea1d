"""Batches that are cancelled, deleted, rejected or abandoned leave nothing behind."""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.workshop import HOUR, HookedEngine, Workshop, stuck
from visage.anonymize.options import AnonymizeOptions
from visage.batches.corrections import replace_output
from visage.batches.store import Store, output_key
from visage.errors import (
    BatchNotFound,
    UnsupportedType,
)
from visage.faces.analyzer import AnalyzeOptions
from visage.logs import logger


def test_nothing_is_kept_of_a_cancelled_batch(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(*[tiny_png] * 5)
    worker = workshop.worker()
    workshop.process(worker, most=2)

    workshop.batches.cancel(batch_id)
    workshop.process(worker)

    assert workshop.kept() == ([], {})
    with pytest.raises(BatchNotFound):
        workshop.batches.progress(batch_id)


def test_nothing_is_kept_of_a_done_batch_that_is_deleted(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    workshop.process(workshop.worker())

    workshop.batches.cancel(batch_id)

    assert workshop.kept() == ([], {})


def test_a_file_in_progress_leaves_nothing_when_its_batch_is_cancelled(
    workshop: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)

    def cancel(_photo: bytes) -> None:
        with suppress(BatchNotFound):
            workshop.batches.cancel(batch_id)

    worker = workshop.worker(
        engine=HookedEngine(workshop.engine, cancel), on_result=lambda result: pytest.fail(f"{result} was counted")
    )
    with caplog.at_level(logging.INFO, logger.name):
        workshop.process(worker)

    assert workshop.kept() == ([], {})
    assert caplog.records == []


def test_a_batch_that_is_abandoned_while_it_arrives_is_deleted(workshop: Workshop, tiny_png: bytes) -> None:
    def submit_incompletely() -> None:
        with workshop.batches.create() as new:
            new.add("photo.png", tiny_png)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        submit_incompletely()

    assert workshop.kept() == ([], {})


def test_a_batch_without_files_cannot_be_submitted(local: Workshop) -> None:
    with pytest.raises(ValueError, match="one file"), local.batches.create() as new:
        new.submit(AnalyzeOptions())

    assert local.kept() == ([], {})


@pytest.mark.parametrize("step", ["unlink", "rmdir"])
def test_two_processes_can_delete_the_same_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    store = Store(str(tmp_path))
    store.make("batch")
    for number in range(3):
        store.write(output_key("batch", number, 1), b"result")
    original = getattr(Path, step)

    def after_another_process(path: Path, **options: bool) -> None:
        shutil.rmtree(tmp_path / "batch", ignore_errors=True)
        original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, after_another_process)
        store.remove_all("batch")

    assert list(tmp_path.iterdir()) == []


def test_a_failed_deletion_does_not_hide_why_a_batch_was_rejected(
    local: Workshop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_a_file(patch: pytest.MonkeyPatch) -> None:
        with local.batches.create() as new:
            stuck(patch, new.id)
            raise UnsupportedType("PDF is not accepted.")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, logger.name), pytest.raises(UnsupportedType):
        refuse_a_file(patch)
    assert [each.message for each in caplog.records] == ["batch_deletion_failed"]

    local.clock.now = 24 * HOUR
    local.sweeper().sweep()
    assert local.kept() == ([], {})


def test_nothing_is_kept_of_a_correction_that_overlaps_with_the_deletion(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = workshop.submit(tiny_png, options=AnonymizeOptions())
    workshop.process(workshop.worker())
    corrected = workshop.engine.anonymize(tiny_png)
    put = workshop.batches.queue.put

    def delete_before(key: str, value: bytes) -> None:
        monkeypatch.undo()
        workshop.batches.cancel(batch_id)
        put(key, value)

    monkeypatch.setattr(workshop.batches.queue, "put", delete_before)
    with pytest.raises(BatchNotFound):
        replace_output(workshop.batches, batch_id, 1, corrected)

    assert workshop.kept() == ([], {})
    assert workshop.batches.quota.ids() == set()
