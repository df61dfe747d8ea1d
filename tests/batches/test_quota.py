"""All batches together stay within a quota: each reserves the most that it may need before it is accepted."""

import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.workshop import Workshop, codes
from visage.anonymize.options import AnonymizeOptions
from visage.batches import open_batches
from visage.batches.batch import BatchOptions, Task, new_id
from visage.batches.quota import FILE_BYTES, Quota, Room
from visage.batches.state_machine import State
from visage.enhance.results import EnhanceOptions
from visage.errors import StorageFull, UnsupportedType
from visage.faces.analyzer import AnalyzeOptions
from visage.settings import Settings

PHOTO = bytes(100_000)


def reserved(workshop: Workshop) -> int:
    return workshop.batches.quota.room().reserved


@pytest.mark.parametrize(
    ("options", "factor"), [(AnalyzeOptions(), 1), (AnonymizeOptions(), 2), (EnhanceOptions(), 10)], ids=str
)
def test_a_batch_reserves_what_its_task_may_need(workshop: Workshop, options: BatchOptions, factor: int) -> None:
    workshop.submit(PHOTO, PHOTO, options=options)

    assert reserved(workshop) == 2 * (FILE_BYTES + factor * len(PHOTO))


def test_a_batch_without_room_is_rejected_and_nothing_of_it_is_kept(workshop: Workshop) -> None:
    workshop.limit_storage(3_000_000)
    workshop.submit(PHOTO, options=EnhanceOptions())
    before = workshop.kept(), reserved(workshop)

    with pytest.raises(StorageFull) as caught:
        workshop.submit(PHOTO, PHOTO, options=EnhanceOptions())

    assert str(caught.value) == (
        "The batch may need 3 MB, and the storage for batches has 1 MB left;"
        " delete batches that you no longer need, send fewer photos, or try again later."
    )
    assert (workshop.kept(), reserved(workshop)) == before


def test_expected_bytes_are_reserved_before_the_first_file_arrives(workshop: Workshop) -> None:
    workshop.limit_storage(1_500_000)

    with workshop.batches.create(Task.ENHANCE, expected_bytes=len(PHOTO)), pytest.raises(StorageFull):
        workshop.batches.create(Task.ENHANCE, expected_bytes=len(PHOTO))

    assert not workshop.kept()[0]
    assert reserved(workshop) == 0


def test_files_that_are_rejected_on_arrival_take_room_too(workshop: Workshop) -> None:
    workshop.limit_storage(10 * FILE_BYTES)

    with workshop.batches.create() as new:
        for _ in range(10):
            new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))
        with pytest.raises(StorageFull):
            new.add_failed("letter.pdf", UnsupportedType("PDF is not accepted."))


def test_an_upload_that_ends_early_frees_its_room(workshop: Workshop) -> None:
    with workshop.batches.create(Task.ENHANCE, expected_bytes=10**6) as new:
        new.add("photo.png", PHOTO)

    assert reserved(workshop) == 0


def test_a_done_batch_reserves_only_what_is_kept(workshop: Workshop, tiny_png: bytes) -> None:
    batch_id = workshop.submit(tiny_png, b"no photo", options=AnonymizeOptions())

    workshop.process(workshop.worker())

    assert codes(workshop, batch_id) == ["done", "unsupported_type"]
    (output,) = workshop.batches.outputs(batch_id)
    assert reserved(workshop) == 2 * FILE_BYTES + output.size


def test_a_deleted_batch_frees_its_room(workshop: Workshop) -> None:
    batch_id = workshop.submit(PHOTO)

    workshop.batches.cancel(batch_id)

    assert reserved(workshop) == 0


def test_an_expired_batch_frees_its_room(workshop: Workshop) -> None:
    workshop.submit(PHOTO)
    workshop.clock.now = 25 * 3600

    workshop.sweeper().sweep()

    assert reserved(workshop) == 0


def test_a_batch_that_fails_frees_the_room_of_its_photos(workshop: Workshop) -> None:
    batch_id = workshop.submit(PHOTO, options=EnhanceOptions())

    workshop.batches.fail(batch_id, "There is no room.")

    assert reserved(workshop) == FILE_BYTES


class VerboseEngine:
    """An engine whose analyses are larger than any photo."""

    leaks_memory = False
    pack = None

    def analyze(self, *_: object, **__: object) -> "VerboseEngine":
        return self

    faces = ()

    def as_json(self, _pack: object) -> dict[str, Any]:
        return {"faces": "x" * 1_000_000}


def test_a_result_that_is_larger_than_expected_reserves_the_excess(workshop: Workshop) -> None:
    workshop.submit(PHOTO, PHOTO)

    workshop.process(workshop.worker(engine=VerboseEngine()), most=1)

    assert 1_000_000 < reserved(workshop) < 1_200_000


def test_a_batch_whose_results_exceed_the_quota_fails_with_the_reason(workshop: Workshop) -> None:
    workshop.limit_storage(500_000)
    batch_id = workshop.submit(PHOTO)

    workshop.process(workshop.worker(engine=VerboseEngine()))

    progress = workshop.batches.progress(batch_id)
    assert progress.state is State.FAILED
    assert "the storage for batches has 0 MB left" in progress.reason
    assert reserved(workshop) == FILE_BYTES


def test_a_queue_that_lost_its_data_gets_the_reservations_back(workshop: Workshop, tiny_png: bytes) -> None:
    for photo in (PHOTO, tiny_png):
        workshop.submit(photo, options=AnonymizeOptions())
    before = reserved(workshop)
    workshop.batches.queue.huey.storage.flush_all()

    workshop.sweeper().sweep()

    assert reserved(workshop) == before


def test_a_reservation_without_files_is_released_after_a_minute(workshop: Workshop) -> None:
    # As by a process that died before it made the folder of its batch.
    workshop.batches.quota.reserve(new_id(), 1000)
    sweeper = workshop.sweeper()

    sweeper.sweep()
    after_a_moment = reserved(workshop)
    workshop.clock.now = 61
    sweeper.sweep()

    assert (after_a_moment, reserved(workshop)) == (1000, 0)


def submit_many(settings: Settings, accepted: Any) -> None:
    batches = open_batches(settings)
    for _ in range(20):
        try:
            with batches.create(Task.PREDICT) as new:
                new.add("photo.png", PHOTO)
                new.submit(AnalyzeOptions())
        except StorageFull:
            continue
        accepted.release()


def test_processes_that_submit_at_the_same_time_never_exceed_the_quota(workshop: Workshop) -> None:
    each = FILE_BYTES + len(PHOTO)
    limit = 10 * each + 1000
    settings = Settings(
        state_dir=workshop.settings.state_dir,
        batch_redis=workshop.settings.batch_redis,
        batch_storage_bytes=limit,
    )
    context = multiprocessing.get_context("spawn")
    accepted = context.Semaphore(0)
    processes = [context.Process(target=submit_many, args=(settings, accepted)) for _ in range(4)]

    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert accepted.get_value() == 10
    assert reserved(workshop) == 10 * each


@pytest.mark.parametrize(
    ("free", "already_reserved", "room"),
    [(1000, 0, Room(500, 0)), (600, 400, Room(500, 400)), (100, 900, Room(500, 900))],
)
def test_by_default_batches_take_half_of_the_free_disk(
    local: Workshop, free: int, already_reserved: int, room: Room
) -> None:
    quota = Quota(local.batches.queue, None, lambda: free)
    local.batches.quota.restore(new_id(), already_reserved, stored=already_reserved)

    assert quota.room() == room
    assert quota.room().left == max(0, 500 - already_reserved)


def test_bytes_that_are_reserved_and_not_yet_written_do_not_raise_the_limit(local: Workshop) -> None:
    quota = Quota(local.batches.queue, None, lambda: 1000)

    quota.reserve(new_id(), 500)

    assert quota.room() == Room(500, 500)
    with pytest.raises(StorageFull):
        quota.reserve(new_id(), 1)


@pytest.mark.parametrize("files", [0, 1, 2])
def test_the_limit_stays_while_a_batch_is_written_and_processed(
    workshop: Workshop, tiny_png: bytes, files: int
) -> None:
    disk = 10_000_000

    def free_bytes() -> int:
        folder = workshop.settings.state_dir / "batches"
        return disk - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    workshop.batches.quota = Quota(workshop.batches.queue, None, free_bytes)
    workshop.submit(tiny_png, PHOTO, options=AnonymizeOptions())

    workshop.process(workshop.worker(), most=files)

    assert workshop.batches.quota.room().limit == pytest.approx(disk // 2, abs=3 * FILE_BYTES)


def test_the_free_disk_is_that_of_the_directory(local: Workshop, tmp_path: Path) -> None:
    free = local.batches.store.free_bytes()

    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_a_bucket_has_no_limit_by_default(remote: Workshop) -> None:
    assert remote.batches.quota.room() == Room(None, 0)
    assert remote.batches.quota.room().left is None


def test_a_bucket_has_the_limit_that_is_set(remote: Workshop) -> None:
    remote.limit_storage(50_000)

    with pytest.raises(StorageFull):
        remote.submit(PHOTO)


def test_room_that_was_freed_can_be_used_again(workshop: Workshop, tiny_png: bytes) -> None:
    workshop.limit_storage(FILE_BYTES + len(tiny_png))

    for _ in range(3):
        workshop.batches.cancel(workshop.submit(tiny_png))

    assert reserved(workshop) == 0
