"""Batches in object storage, an S3 on loopback."""

from contextlib import suppress

import pytest

from tests.support.pictures import GIF
from tests.support.service import free_port
from tests.support.workshop import HookedEngine, Workshop, codes
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches
from visage.batches.consumer import UNDESCRIBED_SECONDS
from visage.batches.store import Store, output_key
from visage.errors import (
    BatchesUnavailable,
    BatchNotFound,
)


def test_a_batch_in_object_storage_is_processed_fetched_and_deleted(remote: Workshop, tiny_png: bytes) -> None:
    batch_id = remote.submit(tiny_png, GIF, tiny_png, options=AnonymizeOptions())
    remote.sweeper().sweep()

    remote.process(remote.worker())

    assert codes(remote, batch_id) == ["done", "unsupported_type", "done"]
    outputs = list(remote.batches.outputs(batch_id))
    assert [each.open().read() for each in outputs] == [remote.engine.anonymize(tiny_png).picture] * 2
    assert remote.batches.store.sizes(f"{batch_id}/in") == {}
    remote.batches.cancel(batch_id)
    assert remote.batches.store.ids() == []


def test_a_file_that_arrives_after_its_batch_was_deleted_is_deleted_after_a_minute(
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


def test_unreachable_object_storage_raises_unavailable(
    remote: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = remote.submit(tiny_png)
    # Without retries, which only take time here.
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    remote.batches.store._files.clear_instance_cache()

    with pytest.raises(BatchesUnavailable):
        remote.batches.exists(batch_id)


def test_a_missing_bucket_is_reported(bucket: str, local: Workshop) -> None:
    batches = Batches(Store(bucket.replace("bucket-", "other-")), local.batches.queue, 24)

    with pytest.raises(BatchesUnavailable) as raised:
        batches.create()

    assert "bucket does not exist" in str(raised.value.__cause__)


def test_a_deletion_that_object_storage_refuses_raises_unavailable(
    remote: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = remote.submit(tiny_png)

    async def refuse(*_: object, **__: object) -> list[str]:
        return []

    with monkeypatch.context() as patch:
        # S3 responds with 200 even if it refuses deletions. Its body has the reasons, but s3fs does not read them.
        patch.setattr("s3fs.S3FileSystem._bulk_delete", refuse)
        with pytest.raises(BatchesUnavailable):
            remote.batches.cancel(batch_id)

    assert remote.batches.store.ids() == [batch_id]
    remote.batches.delete(batch_id)
    assert remote.batches.store.ids() == []


def test_a_file_in_progress_leaves_nothing_in_object_storage_when_its_batch_is_cancelled(
    remote: Workshop, tiny_png: bytes
) -> None:
    batch_id = remote.submit(tiny_png, tiny_png)

    def cancel(_photo: bytes) -> None:
        with suppress(BatchNotFound):
            remote.batches.cancel(batch_id)

    remote.process(remote.worker(engine=HookedEngine(remote.engine, cancel)))

    assert remote.batches.store.ids() == []
    assert remote.kept()[1] == {}
