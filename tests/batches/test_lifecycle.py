"""Batches from submission to their results."""

import json
from typing import Any

import pytest

from tests.support.pictures import GIF
from tests.support.workshop import HOUR, Workshop, codes
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches.batch import new_id
from visage.batches.state_machine import State
from visage.batches.store import Store, input_key
from visage.errors import (
    BatchNotDone,
    BatchNotFound,
    UnsupportedType,
)
from visage.faces.analyzer import AnalyzeOptions
from visage.log_format import JsonFormatter
from visage.logs import logger


def test_a_batch_is_waiting_then_running_then_done(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    worker = workshop.worker()

    states = [workshop.batches.progress(batch_id)]
    for _ in range(3):
        workshop.process(worker, most=1)
        states.append(workshop.batches.progress(batch_id))

    assert [(each.state.value, each.done) for each in states] == [
        ("waiting", 0),
        ("running", 1),
        ("running", 2),
        ("done", 2),
    ]
    assert {(each.total, each.failed, each.created, each.expires) for each in states} == {(2, 0, 0, 24 * HOUR)}


def test_analyses_are_json_in_the_order_of_the_files(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, GIF, tiny_png, options=AnalyzeOptions(max_faces=2))

    workshop.process(workshop.worker())

    outputs = list(workshop.batches.outputs(batch_id))
    contents = [each.open().read() for each in outputs]
    assert [(each.name, each.number) for each in outputs] == [("photo1.png", 1), ("photo3.png", 3)]
    assert [len(json.loads(content)["faces"]) for content in contents] == [2, 2]
    assert [each.size for each in outputs] == [len(content) for content in contents]


def test_a_batch_anonymizes_a_photo_as_the_engine_does(workshop: Workshop, tiny_png: bytes) -> None:
    options = AnonymizeOptions(mask=Mask(Method.SOLID, Shape.BOX, 1.5))
    batch_id = workshop.submit(tiny_png, options=options)

    workshop.process(workshop.worker())

    (output,) = workshop.batches.outputs(batch_id)
    assert output.open().read() == workshop.engine.anonymize(tiny_png, options).picture


def test_a_file_that_fails_has_an_error_and_no_output(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(GIF, tiny_png)

    workshop.process(workshop.worker())

    failed, done = workshop.batches.status(batch_id).files
    assert (failed.state, failed.failure and failed.failure.code) == (State.FAILED, "unsupported_type")
    assert failed.failure is not None
    assert "GIF" in failed.failure.error
    assert (done.state, done.faces) == (State.DONE, 3)


def test_a_file_rejected_on_arrival_keeps_its_place_among_the_results(workshop: Workshop, tiny_png: bytes) -> None:
    with workshop.batches.create() as new:
        new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        new.add("photo.png", tiny_png)
        batch_id = new.submit(AnalyzeOptions()).id

    workshop.process(workshop.worker())

    progress = workshop.batches.progress(batch_id)
    assert (progress.total, progress.done, progress.failed) == (2, 1, 1)
    assert [each.name for each in workshop.batches.status(batch_id).files] == ["letter.pdf", "photo.png"]
    assert codes(workshop, batch_id) == ["unsupported_type", "done"]


def test_a_batch_of_rejected_files_becomes_done(workshop: Workshop) -> None:
    with workshop.batches.create() as new:
        new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        batch_id = new.submit(AnalyzeOptions()).id

    workshop.process(workshop.worker())

    assert workshop.batches.progress(batch_id).state is State.DONE
    assert list(workshop.batches.outputs(batch_id)) == []


def test_a_batch_has_no_outputs_before_it_is_done(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    local.process(local.worker(), most=2)

    with pytest.raises(BatchNotDone, match="still being processed"):
        local.batches.outputs(batch_id)


def test_a_photo_is_deleted_as_soon_as_it_has_its_result(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)

    local.process(local.worker(), most=1)

    assert [local.batches.store.has(input_key(batch_id, number)) for number in (1, 2)] == [False, True]


def test_the_queue_keeps_only_the_end_and_the_counters_of_a_done_batch(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(*[tiny_png] * 5)

    workshop.process(workshop.worker())

    assert list(workshop.kept()[1]) == [f"{batch_id}.end", f"{batch_id}.counts"]


def test_batches_take_turns(local: Workshop, tiny_png: bytes) -> None:
    first, second = local.submit(*[tiny_png] * 6), local.submit(tiny_png, tiny_png)

    processed = local.process(local.worker(), most=4)

    assert processed == [first, second, first, second]


def test_progress_does_not_read_every_file(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = workshop.submit(*[tiny_png] * 200)
    workshop.process(workshop.worker(), most=3)
    workshop.batches.progress(batch_id)
    asked: list[str] = []
    storage = workshop.batches.queue.huey.storage
    peek_many = storage.peek_many

    def count(keys: list[str]) -> Any:
        asked.extend(keys)
        return peek_many(keys)

    monkeypatch.setattr(storage, "peek_many", count)
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("the list of files was read again"))

    assert workshop.batches.progress(batch_id).done == 3

    assert len(asked) == 1


@pytest.mark.parametrize(
    "batch_id",
    ["", ".", "..", "../consumers", "a" * 23, "a" * 25, "a" * 23 + "/", "a" * 23 + ".", "é" * 24, "a" * 24 + "\n"],
)
def test_text_without_the_form_of_an_id_is_not_looked_up(
    local: Workshop, batch_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "has", lambda *_: pytest.fail("the ID was looked up"))

    for method in (
        local.batches.progress,
        local.batches.status,
        local.batches.outputs,
        local.batches.cancel,
    ):
        with pytest.raises(BatchNotFound):
            method(batch_id)


def test_an_unknown_id_is_not_found(workshop: Workshop) -> None:
    for method in (workshop.batches.progress, workshop.batches.outputs, workshop.batches.cancel):
        with pytest.raises(BatchNotFound):
            method(new_id())


def test_ids_are_unique_and_have_24_characters(local: Workshop) -> None:
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {len(each) for each in ids} == {24}


def test_a_batch_that_is_still_arriving_is_not_found_and_not_started(local: Workshop, tiny_png: bytes) -> None:
    new = local.batches.create()
    new.add("photo.png", tiny_png)
    local.sweeper().sweep()
    local.process(local.worker())

    with pytest.raises(BatchNotFound):
        local.batches.progress(new.id)
    new.submit(AnalyzeOptions())
    local.process(local.worker())
    assert local.batches.progress(new.id).state is State.DONE


def test_the_log_has_no_whole_id(
    local: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = local.submit(tiny_png)
    photo = local.settings.state_dir / "batches" / batch_id / "in" / "000001"
    photo.unlink()
    photo.mkdir()

    local.worker().process_next(batch_id)
    logger.error("afterwards", exc_info=IsADirectoryError(21, "Is a directory", str(photo)))

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert [batch_id[:8] in line for line in lines] == [True, True]
    assert [batch_id in line for line in lines] == [False, False]
