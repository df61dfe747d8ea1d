"""Full disks and stores reject or fail a batch and keep nothing of it."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.workshop import (
    Workshop,
    full,
)
from visage.batches.state_machine import State
from visage.batches.store import Store
from visage.errors import (
    BatchNotDone,
    StorageFull,
)


def test_a_full_store_fails_a_batch_with_a_reason_and_not_the_next_batch(
    workshop: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = workshop.worker()
    batch_id = workshop.submit(tiny_png, tiny_png, tiny_png)
    workshop.process(worker, most=1)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", full)
        workshop.process(worker)
    next_id = workshop.submit(tiny_png)
    workshop.process(worker)

    failed = workshop.batches.progress(batch_id)
    assert (failed.state, failed.done, failed.reason) == (State.FAILED, 1, "There is no room.")
    with pytest.raises(BatchNotDone, match="There is no room"):
        workshop.batches.outputs(batch_id)
    assert workshop.batches.store.sizes(f"{batch_id}/in") == workshop.batches.store.sizes(f"{batch_id}/out") == {}
    assert workshop.batches.progress(next_id).state is State.DONE


def test_a_batch_that_fails_deletes_its_photos_to_make_room_for_its_end(
    local: Workshop, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_id = local.submit(tiny_png, tiny_png)
    end = local.batches.states.end

    def end_if_there_is_room(*arguments: Any) -> Any:
        return full() if local.batches.store.sizes(f"{batch_id}/in") else end(*arguments)

    monkeypatch.setattr(local.batches.states, "end", end_if_there_is_room)
    local.batches.fail(batch_id, "There is no room.")

    assert local.batches.progress(batch_id).state is State.FAILED


def test_a_full_disk_rejects_a_new_batch_and_keeps_nothing_of_it(tmp_path: Path, tiny_png: bytes) -> None:
    # In a process with its own file system, so that the disk of this process stays usable.
    code = (
        "import sys; from pathlib import Path; from visage.faces.analyzer import AnalyzeOptions;"
        "from visage.settings import Settings;"
        "from visage.errors import StorageFull; from visage.batches import open_batches;"
        "batches = open_batches(Settings(state_dir=Path(sys.argv[1]), batch_storage_bytes=2**30))\n"
        "try:\n"
        "    with batches.create() as new:\n"
        "        while True: new.add('photo', bytes(100_000))\n"
        "except StorageFull as error:\n"
        "    print(error.code, len(list(Path(sys.argv[1], 'batches').rglob('*'))))"
    )
    start = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=2m tmpfs {tmp_path} && exec "$@"', "sh"]
    probe = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs its own file system: {probe.stderr.strip()}")

    command = [*start, sys.executable, "-c", code, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stdout.split() == ["storage_full", "0"], ended.stderr


def test_a_failed_write_leaves_no_temporary_file(
    local: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fill)

    with pytest.raises(StorageFull):
        local.batches.store.write("photo", b"content")

    assert list((tmp_path / "batches").iterdir()) == []
