"""Batches: every file gets one result and no more, whoever dies, and of what is called off nothing is kept."""

import errno
import json
import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.pictures import GIF, encode
from tests.support.redis_server import needs_redis, running_redis
from tests.support.service import events, free_port
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for
from tests.support.workshop import Clock, Workshop, codes, end_process_of, opened
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches, open_batches
from visage.batches.batch import Batch, Entry, batch_from_json, batch_to_json, new_id
from visage.batches.consumer import UNDESCRIBED_SECONDS, Sweeper
from visage.batches.processing import FATAL, LOST, UNEXPECTED, Processor
from visage.batches.queue import open_queue
from visage.batches.results import Done, Failure
from visage.batches.state_machine import EXPIRY_SECONDS, MAX_ATTEMPTS, LeaseOwner, State
from visage.batches.store import Store, description_key, input_key, output_key
from visage.errors import (
    BatchesUnavailable,
    BatchNotDone,
    BatchNotFound,
    SettingsError,
    StorageFull,
    UnsupportedType,
)
from visage.faces.analyzer import Options
from visage.faces.search import Detail
from visage.images.boxes import Box
from visage.log_format import JsonFormatter
from visage.logs import logger
from visage.runtime.engine import Engine
from visage.settings import Settings

HOUR = 3600


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    with opened(Settings(state_dir=tmp_path, batch_redis=url), engine) as workshop:
        yield workshop


@pytest.fixture
def local(tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    """For what is the same with every queue."""
    with opened(Settings(state_dir=tmp_path), engine) as workshop:
        yield workshop


# From being handed in to being fetched.


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


def test_analyses_come_out_as_json_in_the_order_of_the_files(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, GIF, tiny_png, options=Options(max_faces=2))

    workshop.process(workshop.worker())

    outputs = list(workshop.batches.outputs(batch_id))
    contents = [each.open().read() for each in outputs]
    assert [(each.name, each.number) for each in outputs] == [("photo1.png", 1), ("photo3.png", 3)]
    assert [len(json.loads(content)["faces"]) for content in contents] == [2, 2]
    assert [each.size for each in outputs] == [len(content) for content in contents]


def test_anonymous_pictures_come_out_as_one_alone_would(workshop: Workshop, tiny_png: bytes) -> None:
    options = AnonymizeOptions(mask=Mask(Method.SOLID, Shape.BOX, 1.5))
    batch_id = workshop.submit(tiny_png, options=options)

    workshop.process(workshop.worker())

    (output,) = workshop.batches.outputs(batch_id)
    assert output.open().read() == workshop.engine.anonymize(tiny_png, options).picture


def test_a_file_that_fails_has_its_reason_and_no_output(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(GIF, tiny_png)

    workshop.process(workshop.worker())

    failed, done = workshop.batches.status(batch_id).files
    assert (failed.state, failed.failure and failed.failure.code) == (State.FAILED, "unsupported_type")
    assert failed.failure is not None
    assert "GIF" in failed.failure.error
    assert (done.state, done.faces) == (State.DONE, 3)


def test_what_was_refused_on_arrival_has_its_place_among_the_results(workshop: Workshop, tiny_png: bytes) -> None:
    with workshop.batches.create() as new:
        new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        new.add("photo.png", tiny_png)
        batch_id = new.submit(Options()).id

    workshop.process(workshop.worker())

    progress = workshop.batches.progress(batch_id)
    assert (progress.total, progress.done, progress.failed) == (2, 1, 1)
    assert [each.name for each in workshop.batches.status(batch_id).files] == ["letter.pdf", "photo.png"]
    assert codes(workshop, batch_id) == ["unsupported_type", "done"]


def test_a_batch_of_which_everything_was_refused_is_done(workshop: Workshop) -> None:
    with workshop.batches.create() as new:
        new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        batch_id = new.submit(Options()).id

    workshop.process(workshop.worker())

    assert workshop.batches.progress(batch_id).state is State.DONE
    assert list(workshop.batches.outputs(batch_id)) == []


def test_there_is_no_output_before_a_batch_is_done(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    local.process(local.worker(), most=2)

    with pytest.raises(BatchNotDone, match="still being processed"):
        local.batches.outputs(batch_id)


def test_a_photo_is_deleted_as_soon_as_it_has_its_result(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)

    local.process(local.worker(), most=1)

    assert [local.batches.store.has(input_key(batch_id, number)) for number in (1, 2)] == [False, True]


def test_when_a_batch_is_done_the_queue_keeps_little_of_it(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(*[tiny_png] * 5)

    workshop.process(workshop.worker())

    assert list(workshop.kept()[1]) == [f"{batch_id}.end", f"{batch_id}.counts"]


def test_batches_advance_alike_whichever_came_first(local: Workshop, tiny_png: bytes) -> None:
    first, second = local.submit(*[tiny_png] * 6), local.submit(tiny_png, tiny_png)

    turns = local.process(local.worker(), most=4)

    assert turns == [first, second, first, second]


def test_no_name_of_a_client_becomes_a_path(local: Workshop, tiny_png: bytes) -> None:
    names = ["../../escaped", "/tmp/absolute", "C:\\drive", "nul\0byte", "x" * 5000, ""]
    with local.batches.create() as new:
        for name in names:
            new.add(name, tiny_png)
        batch_id = new.submit(Options()).id

    local.process(local.worker())

    safe = ["escaped", "tmp/absolute", "drive", "nulbyte", "x" * 200, "unnamed"]
    assert [each.name for each in local.batches.status(batch_id).files] == safe
    folder = local.settings.state_dir / "batches"
    results = {f"00000{number}.1" for number in range(1, 7)}
    assert {path.name for path in folder.rglob("*")} == {batch_id, "batch.json", "outcome.json", "out"} | results


def test_photos_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    open_batches(Settings(state_dir=tmp_path / "state"))

    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state" / "batches").stat().st_mode & 0o077 == 0


def test_progress_is_told_without_a_look_at_every_file(
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
    "options",
    [
        Options(0.5, 7, 20, Detail.FAST),
        AnonymizeOptions(Mask(Method.MOSAIC, Shape.BOX, 2.0), 0.25, (Box(1, 2, 30, 40),), Detail.AUTO),
    ],
)
def test_a_batch_is_read_as_it_was_written(options: Options | AnonymizeOptions) -> None:
    entries = (Entry("été.png"), Entry("letter.pdf", Failure("PDF is not accepted.", "unsupported_type")))
    batch = Batch(new_id(), options, 12.5, entries)

    assert batch_from_json(batch.id, batch_to_json(batch)) == batch


# Ids.


@pytest.mark.parametrize(
    "batch_id",
    ["", ".", "..", "../consumers", "a" * 23, "a" * 25, "a" * 23 + "/", "a" * 23 + ".", "é" * 24, "a" * 24 + "\n"],
)
def test_what_has_not_the_shape_of_an_id_is_not_even_looked_up(
    local: Workshop, batch_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "has", lambda *_: pytest.fail("it was looked up"))

    for question in (
        local.batches.progress,
        local.batches.status,
        local.batches.outputs,
        local.batches.cancel,
    ):
        with pytest.raises(BatchNotFound):
            question(batch_id)


def test_an_id_that_nobody_was_given_is_of_no_batch(workshop: Workshop) -> None:
    for question in (workshop.batches.progress, workshop.batches.outputs, workshop.batches.cancel):
        with pytest.raises(BatchNotFound):
            question(new_id())


def test_ids_are_all_different_and_of_their_shape(local: Workshop) -> None:
    ids = {new_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert {len(each) for each in ids} == {24}


# Called off, left and too old.


def test_of_a_batch_that_is_called_off_nothing_is_kept(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(*[tiny_png] * 5)
    worker = workshop.worker()
    workshop.process(worker, most=2)

    workshop.batches.cancel(batch_id)
    workshop.process(worker)

    assert workshop.kept() == ([], {})
    with pytest.raises(BatchNotFound):
        workshop.batches.progress(batch_id)


def test_of_a_batch_that_is_done_and_dropped_nothing_is_kept(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    workshop.process(workshop.worker())

    workshop.batches.cancel(batch_id)

    assert workshop.kept() == ([], {})


class Killed(BaseException):
    """The end of a process in the midst of its work."""


def die(*_: object) -> None:
    raise Killed


def unreachable(*_: object) -> Any:
    raise BatchesUnavailable("It cannot be reached.")


class HookedEngine:
    """An engine in whose work something else happens first."""

    def __init__(self, engine: Engine, hook: Callable[[bytes], object]) -> None:
        self._engine = engine
        self._happening = hook
        self.pack = engine.pack
        self.leaks_memory = engine.leaks_memory

    def analyze(self, photo: bytes, *arguments: Any, **named: Any) -> Any:
        self._happening(photo)
        return self._engine.analyze(photo, *arguments, **named)


def test_what_is_in_hand_when_a_batch_is_called_off_leaves_nothing(
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


def test_a_batch_that_is_left_while_it_comes_in_is_not_kept(workshop: Workshop, tiny_png: bytes) -> None:
    def hand_in() -> None:
        with workshop.batches.create() as new:
            new.add("photo.png", tiny_png)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        hand_in()

    assert workshop.kept() == ([], {})


def test_a_batch_that_is_still_coming_in_is_not_found_and_not_begun(local: Workshop, tiny_png: bytes) -> None:
    new = local.batches.create()
    new.add("photo.png", tiny_png)
    local.sweeper().sweep()
    local.process(local.worker())

    with pytest.raises(BatchNotFound):
        local.batches.progress(new.id)
    new.submit(Options())
    local.process(local.worker())
    assert local.batches.progress(new.id).state is State.DONE


def test_an_empty_batch_is_not_taken(local: Workshop) -> None:
    with pytest.raises(ValueError, match="one file"), local.batches.create() as new:
        new.submit(Options())

    assert local.kept() == ([], {})


@pytest.mark.parametrize("far", ["coming in", "waiting", "begun", "done"])
def test_a_batch_expires_however_far_it_is(workshop: Workshop, tiny_png: bytes, far: str) -> None:
    sweeper = workshop.sweeper()
    if far == "coming in":
        batch_id = workshop.batches.create().id
    else:
        batch_id = workshop.submit(tiny_png, tiny_png)
        workshop.process(workshop.worker(), most={"waiting": 0, "begun": 1, "done": 9}[far])
    workshop.clock.now = 24 * HOUR - 1
    sweeper.sweep()
    assert workshop.batches.exists(batch_id)

    workshop.clock.now = 24 * HOUR
    with pytest.raises(BatchNotFound):
        workshop.batches.progress(batch_id)
    sweeper.sweep()

    assert workshop.kept() == ([], {})


def test_a_deletion_that_was_cut_short_is_brought_to_its_end(
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


@pytest.mark.parametrize("step", ["unlink", "rmdir"])
def test_another_may_delete_the_same_batch_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = Store(str(tmp_path))
    store.make("batch")
    for number in range(3):
        store.write(output_key("batch", number, 1), b"result")
    mine = getattr(Path, step)

    def come_late(path: Path, **options: bool) -> None:
        shutil.rmtree(tmp_path / "batch", ignore_errors=True)
        mine(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, come_late)
        store.remove_all("batch")

    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_cannot_be_read_keeps_no_other(
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


def test_a_batch_that_cannot_be_deleted_keeps_no_other_and_goes_when_it_can(
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


def test_a_deletion_that_fails_is_told_and_brought_to_its_end_later(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = workshop.submit(tiny_png)
    with monkeypatch.context() as patch:
        stuck(patch, batch_id)
        with pytest.raises(BatchesUnavailable):
            workshop.batches.cancel(batch_id)
    # So far it came, but for the last step, which failed.
    workshop.batches.store.remove(description_key(batch_id))
    sweeper = workshop.sweeper()
    sweeper.sweep()
    workshop.clock.now += UNDESCRIBED_SECONDS

    sweeper.sweep()

    assert workshop.kept() == ([], {})


def stuck(monkeypatch: pytest.MonkeyPatch, batch_id: str) -> None:
    """Have a directory of a batch that cannot be removed."""
    rmdir = Path.rmdir

    def refuse(path: Path) -> None:
        if batch_id in path.parts:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", refuse)


def test_a_batch_that_comes_in_and_cannot_be_dropped_hides_no_reason(
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


def test_a_folder_in_which_nothing_says_what_it_is_goes_after_a_minute(local: Workshop) -> None:
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


def test_what_is_not_of_a_batch_is_left_alone(local: Workshop) -> None:
    foreign = local.settings.state_dir / "batches" / "lost+found"
    foreign.mkdir()
    sweeper = local.sweeper()

    for _ in range(3):
        sweeper.sweep()

    assert foreign.exists()


# Workers that die, and workers that come late.


def begin_and_die(workshop: Workshop, owner: LeaseOwner) -> None:
    """Take a turn and end in the midst of the photo."""
    with pytest.raises(Killed):
        workshop.process(workshop.worker(owner, HookedEngine(workshop.engine, die)))


def test_a_file_whose_worker_died_here_is_taken_over_at_once(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    dead = workshop.owner("machine")
    begin_and_die(workshop, dead)
    end_process_of(dead)

    workshop.process(workshop.worker(workshop.owner("machine")))

    assert codes(workshop, batch_id) == ["done", "done"]
    assert sorted(each.size > 0 for each in workshop.batches.outputs(batch_id)) == [True, True]


def test_a_file_whose_worker_died_elsewhere_is_taken_over_after_a_while(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    begin_and_die(workshop, workshop.owner("elsewhere"))
    worker = workshop.worker(workshop.owner("here"))
    workshop.process(worker)
    assert codes(workshop, batch_id) == ["waiting", "done"]

    for workshop.clock.now in (EXPIRY_SECONDS - 1, EXPIRY_SECONDS):
        workshop.batches.queue.enqueue(batch_id)
        workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done"]


def test_a_file_in_living_hands_is_left_there_however_long_it_takes(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    slow = workshop.owner("elsewhere")
    begin_and_die(workshop, slow)
    worker = workshop.worker(workshop.owner("here"))

    for workshop.clock.now in range(0, 600, 10):
        slow.heartbeat()
        workshop.batches.queue.enqueue(batch_id)
        workshop.process(worker)

    assert codes(workshop, batch_id) == ["waiting"]


def test_a_consumer_of_the_same_machine_that_lives_keeps_its_files(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    begin_and_die(workshop, workshop.owner("machine"))

    workshop.process(workshop.worker(workshop.owner("machine")))

    assert codes(workshop, batch_id) == ["waiting"]


def test_what_a_consumer_leaves_at_its_end_is_free_at_once(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    leaving = workshop.owner("elsewhere")
    begin_and_die(workshop, leaving)

    leaving.close()
    workshop.batches.queue.enqueue(batch_id)
    workshop.process(workshop.worker(workshop.owner("here")))

    assert codes(workshop, batch_id) == ["done"]


def test_a_file_in_hands_of_this_process_is_left_there_though_no_sign_gets_through(
    workshop: Workshop, tiny_png: bytes
) -> None:
    batch_id = workshop.submit(tiny_png)
    begun: list[bytes] = []

    def give_others_turns(photo: bytes) -> None:
        begun.append(photo)
        for workshop.clock.now in (1000, 2000, 3000):
            workshop.batches.queue.enqueue(batch_id)
            workshop.process(worker)

    worker = workshop.worker(engine=HookedEngine(workshop.engine, give_others_turns))
    workshop.process(worker)

    assert begun == [tiny_png]
    assert codes(workshop, batch_id) == ["done"]


def test_a_result_that_could_not_be_noted_is_made_again(
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


def test_a_file_that_has_its_result_is_not_begun_again(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)
    workshop.batches.states.record(batch_id, 1, Done(99, 1))
    workshop.batches.store.write(output_key(batch_id, 1, 1), b"result")

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, die)))

    assert [each.faces for each in workshop.batches.status(batch_id).files] == [99]


@pytest.mark.parametrize("outcome", [Done(99, 2), Failure("It was another's.", "other")])
def test_a_result_that_comes_late_changes_nothing(workshop: Workshop, tiny_png: bytes, outcome: Done | Failure) -> None:
    batch_id = workshop.submit(tiny_png)

    def another_is_first(_photo: bytes) -> None:
        if isinstance(outcome, Done):
            workshop.batches.store.write(output_key(batch_id, 1, 2), b"another's")
        assert workshop.batches.states.record(batch_id, 1, outcome)

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, another_is_first)))

    (file,) = workshop.batches.status(batch_id).files
    assert (file.faces, file.failure) == ((99, None) if isinstance(outcome, Done) else (None, outcome))
    contents = [each.open().read() for each in workshop.batches.outputs(batch_id)]
    assert contents == ([b"another's"] if isinstance(outcome, Done) else [])
    assert not workshop.batches.store.has(output_key(batch_id, 1, 1))


def test_a_result_that_comes_after_the_end_of_the_batch_changes_nothing(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png)

    def others_finish(_photo: bytes) -> None:
        owner = workshop.owner("here")
        workshop.batches.states.mark_dead(cut_off.id)
        workshop.process(workshop.worker(owner))

    cut_off = workshop.owner("elsewhere")
    workshop.process(workshop.worker(cut_off, HookedEngine(workshop.engine, others_finish)))

    assert workshop.batches.progress(batch_id).state is State.DONE
    assert list(workshop.kept()[1]) == [f"{batch_id}.end", f"{batch_id}.counts"]
    assert list(workshop.batches.store.sizes(f"{batch_id}/out")) == [output_key(batch_id, 1, 2)]


def test_a_photo_that_ends_every_process_is_left_out_and_costs_no_other(
    local: Workshop, tiny_png: bytes, tiny_jpeg: bytes
) -> None:
    batch_id = local.submit(tiny_png, tiny_jpeg, tiny_png)
    deaths = 0

    def die_of_it(photo: bytes) -> None:
        if photo == tiny_jpeg:
            raise Killed

    for _ in range(10):
        owner = local.owner()
        local.sweeper().sweep()
        try:
            local.process(local.worker(owner, HookedEngine(local.engine, die_of_it)))
        except Killed:
            deaths += 1
        end_process_of(owner)

    assert codes(local, batch_id) == ["done", FATAL.code, "done"]
    assert deaths == MAX_ATTEMPTS


def test_a_photo_that_fails_as_nobody_foresaw_is_not_tried_again(
    workshop: Workshop, tiny_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    batch_id = workshop.submit(tiny_png, tiny_png)
    failures = iter([RuntimeError("of OpenCV")])

    def fail_once(_photo: bytes) -> None:
        for error in failures:
            raise error

    workshop.process(workshop.worker(engine=HookedEngine(workshop.engine, fail_once)))

    assert codes(workshop, batch_id) == [UNEXPECTED.code, "done"]
    assert "batch_file_unexpected" in caplog.messages


def test_a_photo_that_is_gone_is_told_as_lost(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    local.batches.store.remove(input_key(batch_id, 1))

    local.process(local.worker())

    assert codes(local, batch_id) == [LOST.code, "done"]


@pytest.mark.parametrize("others", [0, 1])
def test_a_worker_that_died_between_two_steps_of_its_turn_loses_no_batch(
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


def test_a_look_at_batches_that_wait_does_not_make_the_queue_longer(workshop: Workshop, tiny_png: bytes) -> None:
    for _ in range(3):
        workshop.submit(tiny_png)
    sweeper = workshop.sweeper()

    for _ in range(5):
        sweeper.sweep()

    assert workshop.batches.queue.huey.storage.queue_size() == 3


def test_a_queue_that_lost_its_memory_begins_nothing_anew_that_is_done(workshop: Workshop, tiny_png: bytes) -> None:
    done = workshop.submit(tiny_png, GIF)
    workshop.process(workshop.worker())
    before = workshop.batches.status(done)
    workshop.batches.queue.huey.storage.flush_all()

    assert workshop.batches.status(done) == before
    workshop.batches.queue.huey.storage.flush_all()
    workshop.sweeper().sweep()
    workshop.process(workshop.worker())

    assert workshop.batches.status(done) == before


def test_threads_share_a_batch_and_each_file_is_worked_on_once(
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


# Where there is no room, and where nothing can be reached.


def full(*_: object) -> None:
    raise StorageFull("There is no room.")


def test_no_room_for_a_result_fails_the_batch_with_a_reason_and_the_next_one_works(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = workshop.worker()
    batch_id = workshop.submit(tiny_png, tiny_png, tiny_png)
    workshop.process(worker, most=1)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", full)
        workshop.process(worker)
    following = workshop.submit(tiny_png)
    workshop.process(worker)

    failed = workshop.batches.progress(batch_id)
    assert (failed.state, failed.done, failed.reason) == (State.FAILED, 1, "There is no room.")
    with pytest.raises(BatchNotDone, match="There is no room"):
        workshop.batches.outputs(batch_id)
    assert workshop.batches.store.sizes(f"{batch_id}/in") == workshop.batches.store.sizes(f"{batch_id}/out") == {}
    assert workshop.batches.progress(following).state is State.DONE


def test_no_room_for_the_state_is_made_by_the_photos_that_go(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    note = local.batches.states.end

    def note_if_there_is_room(*arguments: Any) -> Any:
        return full() if local.batches.store.sizes(f"{batch_id}/in") else note(*arguments)

    monkeypatch.setattr(local.batches.states, "end", note_if_there_is_room)
    local.batches.fail(batch_id, "There is no room.")

    assert local.batches.progress(batch_id).state is State.FAILED


def test_a_full_disk_is_told_to_who_hands_a_batch_in_and_nothing_is_left(tmp_path: Path, tiny_png: bytes) -> None:
    # In a file system of its own, and a process of its own: this one's files stay where they are.
    code = (
        "import sys; from pathlib import Path; from visage.faces.analyzer import Options;"
        "from visage.settings import Settings;"
        "from visage.errors import StorageFull; from visage.batches import open_batches;"
        "batches = open_batches(Settings(state_dir=Path(sys.argv[1])))\n"
        "try:\n"
        "    with batches.create() as new:\n"
        "        while True: new.add('photo', bytes(100_000))\n"
        "except StorageFull as error:\n"
        "    print(error.code, len(list(Path(sys.argv[1], 'batches').rglob('*'))))"
    )
    start = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=2m tmpfs {tmp_path} && exec "$@"', "sh"]
    probe = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs a file system of its own: {probe.stderr.strip()}")

    command = [*start, sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stdout.split() == ["storage_full", "0"], ended.stderr


def test_what_found_no_room_leaves_no_part_of_it(
    local: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fill)

    with pytest.raises(StorageFull):
        local.batches.store.write("photo", b"content")

    assert list((tmp_path / "batches").iterdir()) == []


def test_sqlite_does_not_wait_for_the_disk_at_every_step(local: Workshop) -> None:
    (synchronous,) = local.batches.queue.huey.storage.conn.execute("pragma synchronous").fetchone()

    assert synchronous == 1


def test_a_store_that_fails_for_a_moment_costs_no_file(
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


def stale(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Have every look for a file of this `name` fail as a network file system does that lost its server."""
    looks: list[str] = []
    stat = os.stat

    def look(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        if str(path).endswith(name):
            looks.append(str(path))
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return stat(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", look)
    return looks


def test_a_store_that_cannot_be_asked_when_a_result_is_noted_deletes_no_batch(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(tiny_png, tiny_png)
    watched: list[Any] = []
    worker = workshop.worker(on_result=watched.append)
    with monkeypatch.context() as patch:
        record = workshop.batches.states.record

        def record_and_lose_the_store(*arguments: Any) -> bool:
            stale(patch, "batch.json")
            return record(*arguments)

        patch.setattr(workshop.batches.states, "record", record_and_lose_the_store)
        with caplog.at_level(logging.WARNING, logger.name):
            workshop.process(worker, most=1)

    assert caplog.records == []
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done"]
    assert len(list(workshop.batches.outputs(batch_id))) == len(watched) == 2


def test_a_store_that_denies_a_batch_once_loses_none(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.batches.processing.PAUSE_SECONDS", 0)
    batch_id = workshop.submit(*[tiny_png] * 3)
    worker = workshop.worker()
    record = workshop.batches.states.record

    def record_and_be_denied(patch: pytest.MonkeyPatch, *arguments: Any) -> bool:
        patch.setattr(Store, "has", lambda *_: False)
        return record(*arguments)

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(workshop.batches.states, "record", partial(record_and_be_denied, patch))
            workshop.process(worker, most=1)
    workshop.sweeper().sweep()
    workshop.process(worker)

    assert codes(workshop, batch_id) == ["done", "done", "done"]
    assert len(list(workshop.batches.outputs(batch_id))) == 3


@pytest.mark.parametrize("answer", ["an error", "a no"])
def test_a_store_that_fails_when_a_batch_is_done_deletes_nothing(
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

        def end_and_lose_the_store(*arguments: Any) -> Any:
            if answer == "a no":
                patch.setattr(Store, "has", lambda *_: False)
            else:
                stale(patch, "batch.json")
            return end(*arguments)

        patch.setattr(workshop.batches.states, "end", end_and_lose_the_store)
        workshop.process(worker)

    assert caplog.records == []
    assert workshop.batches.progress(batch_id).state is State.DONE
    assert len(list(workshop.batches.outputs(batch_id))) == 1


def test_a_batch_is_done_when_its_photos_are_gone(
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


def test_a_store_that_cannot_be_asked_is_told_as_such_and_not_as_one_without_the_batch(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = local.submit(tiny_png)
    local.process(local.worker())
    for look, name in ((local.batches.progress, "batch.json"), (local.batches.outputs, "out")):
        with monkeypatch.context() as patch:
            looks = stale(patch, name)
            with pytest.raises(BatchesUnavailable):
                look(batch_id)
            assert looks


def test_a_queue_that_lost_its_memory_begins_nothing_anew_while_the_store_cannot_be_asked(
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
        looks = stale(patch, "outcome.json")
        for _ in range(3):
            sweeper.sweep()
            workshop.process(worker)
        assert looks

    sweeper.sweep()
    workshop.process(worker)

    assert workshop.batches.status(batch_id) == before


def test_an_engine_that_cannot_be_had_costs_no_file(
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


def test_processes_that_fork_after_the_start_use_the_same_batches(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from visage.faces.analyzer import Options;"
        "from visage.errors import EmptyImage; from visage.settings import Settings;"
        "from visage.batches import open_batches;"
        "batches = open_batches(Settings(state_dir=Path(sys.argv[1])))\n"
        "for _ in range(3):\n"
        "    if not os.fork():\n"
        "        with batches.create() as new:\n"
        "            new.add_failed('photo', EmptyImage('It is empty.'))\n"
        "            new.submit(Options())\n"
        "        os._exit(0)\n"
        "print([os.wait()[1] for _ in range(3)], len(batches.queue.queued() & set(batches.store.ids())))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stdout == "[0, 0, 0] 3\n", ended.stderr


def test_a_redis_that_is_down_is_told_as_such(tmp_path: Path) -> None:
    batches = open_batches(Settings(state_dir=tmp_path, batch_redis=f"redis://127.0.0.1:{free_port()}/0"))

    with batches.create() as new:
        new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        with pytest.raises(BatchesUnavailable):
            new.submit(Options())

    assert list((tmp_path / "batches").iterdir()) == []


# Settings.


def test_a_queue_in_sqlite_does_not_bring_along_redis_that_is_installed() -> None:
    pytest.importorskip("redis")
    told = "import sys, visage.web, visage.batches.consumer; print('huey' in sys.modules, 'redis' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["True", "False"]


def test_a_queue_in_redis_is_had_after_one_in_sqlite(redis_url: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)

    queues = [open_queue(settings, 1), open_queue(replace(settings, batch_redis=redis_url), 1), open_queue(settings, 1)]
    for queue in queues:
        queue.enqueue("a" * 32)

    assert [queue.queued() for queue in queues] == [{"a" * 32}] * 3


def test_a_state_directory_that_cannot_be_made_is_told_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingsError, match="VISAGE_STATE_DIR"):
        open_batches(Settings(state_dir=tmp_path / "file" / "state"))


@pytest.mark.parametrize("url", ["nonsense://batches", "simplecache::file:///tmp"])
def test_a_store_that_nobody_knows_is_told_with_its_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="VISAGE_BATCH_STORE"):
        open_batches(Settings(state_dir=tmp_path, batch_store=url))


def test_object_storage_without_its_package_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(SettingsError, match="s3fs"):
        open_batches(Settings(state_dir=tmp_path, batch_store="s3://bucket/prefix"))


def test_without_the_package_redis_the_start_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(SettingsError, match=r"needs the package redis.*pip install redis"):
        open_batches(Settings(state_dir=tmp_path, batch_redis="redis://queue"))


def test_a_url_that_cannot_be_used_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="VISAGE_BATCH_REDIS cannot be used") as caught:
        open_batches(Settings(state_dir=tmp_path, batch_redis="redis://:secret@queue:port/0"))

    assert "secret" not in str(caught.value)


def test_what_stands_in_the_queue_is_json_and_no_code(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png)

    (task,) = local.batches.queue.huey.storage.enqueued_items()

    assert json.loads(task)[6] == [batch_id]


# Object storage.


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a place in a bucket of an S3 on loopback."""
    s3fs = pytest.importorskip("s3fs", reason="needs the package s3fs")
    moto = pytest.importorskip("moto.server", reason="needs the package moto[s3]")
    port, name = free_port(), f"bucket-{secrets.token_hex(4)}"
    account = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for variable, value in {**account, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(variable, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/batches"
    server.stop()


@pytest.fixture
def remote(bucket: str, tmp_path: Path, engine: Engine) -> Iterator[Workshop]:
    with opened(Settings(state_dir=tmp_path), engine, bucket) as workshop:
        yield workshop


def test_a_batch_in_object_storage_is_worked_on_fetched_and_deleted(remote: Workshop, tiny_png: bytes) -> None:
    batch_id = remote.submit(tiny_png, GIF, tiny_png, options=AnonymizeOptions())
    remote.sweeper().sweep()

    remote.process(remote.worker())

    assert codes(remote, batch_id) == ["done", "unsupported_type", "done"]
    outputs = list(remote.batches.outputs(batch_id))
    assert [each.open().read() for each in outputs] == [remote.engine.anonymize(tiny_png).picture] * 2
    assert remote.batches.store.sizes(f"{batch_id}/in") == {}
    remote.batches.cancel(batch_id)
    assert remote.batches.store.ids() == []


def test_what_comes_into_object_storage_after_its_batch_was_deleted_goes_after_a_minute(
    remote: Workshop, tiny_png: bytes
) -> None:
    batch_id = remote.submit(tiny_png)
    sweeper = remote.sweeper()
    sweeper.sweep()
    remote.batches.cancel(batch_id)
    remote.process(remote.worker())
    remote.batches.store.write(output_key(batch_id, 1, 1), b"result")
    for _ in range(2):
        sweeper.sweep()
    assert remote.batches.store.ids() == [batch_id]
    remote.clock.now += UNDESCRIBED_SECONDS

    sweeper.sweep()

    assert remote.batches.store.ids() == []
    assert remote.kept()[1] == {}


def test_object_storage_that_cannot_be_reached_is_not_taken_for_one_without_the_batch(
    remote: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = remote.submit(tiny_png)
    # Of what is tried several times, only the end counts here.
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    remote.batches.store._files.clear_instance_cache()

    with pytest.raises(BatchesUnavailable):
        remote.batches.exists(batch_id)


def test_a_bucket_that_is_missing_is_told_as_such(bucket: str, local: Workshop) -> None:
    batches = Batches(Store(bucket.replace("bucket-", "other-")), local.batches.queue, 24)

    with pytest.raises(BatchesUnavailable) as told:
        batches.create()

    assert "bucket does not exist" in str(told.value.__cause__)


def test_photos_that_object_storage_does_not_let_go_of_are_not_told_as_deleted(
    remote: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = remote.submit(tiny_png)

    async def refuse(*_: object, **__: object) -> list[str]:
        return []

    with monkeypatch.context() as patch:
        # S3 answers 200 where it refuses each deletion, with the reasons in its body, which s3fs does not read.
        patch.setattr("s3fs.S3FileSystem._bulk_delete", refuse)
        with pytest.raises(BatchesUnavailable):
            remote.batches.cancel(batch_id)

    assert remote.batches.store.ids() == [batch_id]
    remote.batches.delete(batch_id)
    assert remote.batches.store.ids() == []


def test_what_is_in_hand_when_a_batch_is_called_off_leaves_nothing_in_object_storage(
    remote: Workshop, tiny_png: bytes
) -> None:
    batch_id = remote.submit(tiny_png, tiny_png)

    def cancel(_photo: bytes) -> None:
        with suppress(BatchNotFound):
            remote.batches.cancel(batch_id)

    remote.process(remote.worker(engine=HookedEngine(remote.engine, cancel)))

    assert remote.batches.store.ids() == []
    assert remote.kept()[1] == {}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"created": 1}', b'{"created": null}'])
def test_a_batch_that_cannot_be_read_is_none_and_harms_no_other(
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


def test_a_reason_in_the_log_has_no_id(
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


# The process.


# A consumer that takes a tenth of a second and more for every picture.
SLOW = (
    "import time; from visage.runtime.engine import Engine; from visage.batches.consumer import main\n"
    "own = Engine.anonymize\n"
    "Engine.anonymize = lambda *arguments: (time.sleep(0.1), own(*arguments))[1]\n"
    "main()"
)


@contextmanager
def consuming(
    pack: Path, state: Path, log: Path, *command: str, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A consumer of batches, which is dead at the end of the block; `command` replaces what Python runs."""
    own = {"VISAGE_PACK": str(pack), "VISAGE_STATE_DIR": str(state), "VISAGE_BATCH_JOBS": "2"} | environment
    with log.open("ab") as file:
        arguments = [sys.executable, *(command or ("-m", "visage.batches"))]
        process = subprocess.Popen(arguments, cwd=ROOT, env=os.environ | own, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_wish_to_stop_finishes_what_is_in_hand_and_leaves_the_rest_for_the_next(
    tiny_pack: Path, tmp_path: Path
) -> None:
    photo = encode(draw(96, 96), "PNG")
    batches = open_batches(Settings(state_dir=tmp_path / "state"))
    with batches.create() as new:
        for number in range(400):
            new.add(f"grandmother{number}.png", photo)
        batch_id = new.submit(AnonymizeOptions()).id
    log = tmp_path / "log"

    # All of the batch would take it 20 seconds, however fast the machine is.
    with consuming(tiny_pack, tmp_path / "state", log, "-c", SLOW) as first:
        assert wait_for(lambda: batches.progress(batch_id).done > 4)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    between = batches.progress(batch_id)
    with consuming(tiny_pack, tmp_path / "state", log) as second:
        assert wait_for(lambda: batches.progress(batch_id).state is State.DONE, 120)
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0

    assert between.state is State.RUNNING
    files = [each for each in events(log) if each["event"] == "batch_file"]
    assert sorted(each["file"] for each in files) == list(range(1, 401))
    assert {each["attempt"] for each in files} == {1}
    assert "grandmother" not in log.read_text()
    assert batch_id not in log.read_text()
    assert list((tmp_path / "state" / "consumers").iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value"), [("VISAGE_PACK", "missing"), ("VISAGE_BATCH_REDIS", "redis://127.0.0.1:1/0")]
)
def test_a_consumer_that_cannot_start_says_why_in_one_sentence(
    tiny_pack: Path, tmp_path: Path, variable: str, value: str
) -> None:
    log = tmp_path / "log"
    environment = {"VISAGE_PACK": str(tiny_pack), "VISAGE_STATE_DIR": str(tmp_path)} | {variable: value}

    with consuming(tiny_pack, tmp_path, log, **environment) as process:
        assert process.wait(60) == 1
    assert log.read_text().startswith("visage.batches cannot start: ")
    assert log.read_text().count("\n") == 1


def test_the_disk_may_be_another_than_that_of_the_state(local: Workshop, tmp_path: Path, tiny_png: bytes) -> None:
    elsewhere = tmp_path / "elsewhere"
    batches = open_batches(Settings(state_dir=tmp_path / "state", batch_store=str(elsewhere)))

    with batches.create() as new:
        new.add("photo.png", tiny_png)
        batch_id = new.submit(Options()).id

    assert (elsewhere / batch_id / "batch.json").exists()
    assert not (tmp_path / "state" / "batches").exists()
