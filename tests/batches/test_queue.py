"""The queue in SQLite and in Redis, and the settings of queue and store."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.workshop import Workshop
from visage.batches import open_batches
from visage.batches.queue import open_queue
from visage.errors import (
    SettingsError,
)
from visage.settings import Settings


def test_sqlite_does_not_wait_for_the_disk_at_every_step(local: Workshop) -> None:
    (synchronous,) = local.batches.queue.huey.storage.conn.execute("pragma synchronous").fetchone()

    assert synchronous == 1


def test_forked_processes_share_the_batches(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from visage.faces.analyzer import AnalyzeOptions;"
        "from visage.errors import EmptyImage; from visage.settings import Settings;"
        "from visage.batches import open_batches;"
        "batches = open_batches(Settings(state_dir=Path(sys.argv[1])))\n"
        "for _ in range(3):\n"
        "    if not os.fork():\n"
        "        with batches.create() as new:\n"
        "            new.add_failed('photo', EmptyImage('It is empty.'))\n"
        "            new.submit(AnalyzeOptions())\n"
        "        os._exit(0)\n"
        "print([os.wait()[1] for _ in range(3)], len(batches.queue.queued() & set(batches.store.ids())))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.stdout == "[0, 0, 0] 3\n", ended.stderr


def test_a_queue_in_sqlite_does_not_import_redis() -> None:
    pytest.importorskip("redis")
    code = "import sys, visage.web, visage.batches.consumer; print('huey' in sys.modules, 'redis' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["True", "False"]


def test_a_queue_in_redis_can_be_opened_after_one_in_sqlite(redis_url: str, tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)

    queues = [open_queue(settings, 1), open_queue(replace(settings, batch_redis=redis_url), 1), open_queue(settings, 1)]
    for queue in queues:
        queue.enqueue("a" * 32)

    assert [queue.queued() for queue in queues] == [{"a" * 32}] * 3


def test_the_error_for_a_state_directory_that_cannot_be_created_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingsError, match="VISAGE_STATE_DIR"):
        open_batches(Settings(state_dir=tmp_path / "file" / "state"))


@pytest.mark.parametrize("url", ["nonsense://batches", "simplecache::file:///tmp"])
def test_the_error_for_an_unsupported_store_names_its_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="VISAGE_BATCH_STORE"):
        open_batches(Settings(state_dir=tmp_path, batch_store=url))


def test_the_error_for_object_storage_without_its_package_names_the_package(tmp_path: Path) -> None:
    # In a fresh process, because fsspec remembers a package that an earlier test has loaded.
    code = (
        "import sys; from pathlib import Path; from visage.batches import open_batches;"
        "from visage.settings import Settings;"
        "sys.modules['s3fs'] = None;"
        "open_batches(Settings(state_dir=Path(sys.argv[1]), batch_store='s3://bucket/prefix'))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert re.search("SettingsError: .*s3fs", ended.stderr)


def test_the_error_for_redis_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(SettingsError, match=r"needs the package redis.*pip install redis"):
        open_batches(Settings(state_dir=tmp_path, batch_redis="redis://queue"))


def test_the_error_for_an_invalid_redis_url_hides_its_password(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="VISAGE_BATCH_REDIS cannot be used") as caught:
        open_batches(Settings(state_dir=tmp_path, batch_redis="redis://:secret@queue:port/0"))

    assert "secret" not in str(caught.value)


def test_tasks_in_the_queue_are_json(local: Workshop, tiny_png: bytes) -> None:
    batch_id = local.submit(tiny_png)

    (task,) = local.batches.queue.huey.storage.enqueued_items()

    assert json.loads(task)[6] == [batch_id]
