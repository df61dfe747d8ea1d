"""Batches of a thousand photos whose workers are killed, cut off and left without room on the disk."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.service import ROOT
from tests.pictures import AVIF, GIF, HEIC, PDF, SVG, ZIP, broken_animation, encode, many_scans_jpeg
from tests.test_answer_cache import needs_redis, running_redis
from tests.test_batches import consuming, events
from tests.test_faults import wait_for
from tests.tiny_pack import BLUISH, MAGENTA, REDDISH, draw
from visage.batches import Batches, open_batches
from visage.batches.batch import State
from visage.engine import Engine
from visage.errors import RequestError
from visage.guard import GuardOptions
from visage.settings import Settings

FILES = 1000
JOBS = 2


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis, or nothing for SQLite."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("redis")
        yield stack.enter_context(running_redis(folder)) if request.param == "redis" else ""


def broken() -> list[bytes]:
    """Ten files that cannot be answered, each for another reason or of another kind."""
    photo = encode(draw(96, 96), "JPEG")
    return [GIF, HEIC, AVIF, SVG, PDF, ZIP, b"", photo[: len(photo) // 2], broken_animation(), many_scans_jpeg(2000)]


def photo(number: int) -> bytes:
    """A small photo with a face, which no other number has."""
    pixels = draw(112, 96, {(24, 24, 60, 60): (MAGENTA, REDDISH, BLUISH)[number % 3]})
    pixels[100:, :, 0] = number % 256
    pixels[100:, :, 1] = number // 256
    return encode(pixels, "PNG")


def thousand() -> list[bytes]:
    """A thousand files, of which every twentieth is broken."""
    bad = broken()
    return [bad[number // 20 % len(bad)] if number % 20 == 7 else photo(number) for number in range(FILES)]


def expected(engine: Engine, files: list[bytes]) -> dict[int, bytes | str]:
    """Of each file by number the picture that comes out, or the code of the reason why none does."""
    due: dict[int, bytes | str] = {}
    for number, content in enumerate(files, 1):
        try:
            due[number] = engine.anonymize(content).picture
        except RequestError as error:
            due[number] = error.code
    return due


def submit(batches: Batches, files: list[bytes]) -> str:
    with batches.create() as new:
        for number, content in enumerate(files, 1):
            new.add(f"photo{number}", content)
        return new.submit(GuardOptions()).id


def fetched(batches: Batches, batch_id: str) -> dict[int, bytes | str]:
    """What became of each file of a batch, by number; none is there twice."""
    outputs = [(output.number, output.open().read()) for output in batches.outputs(batch_id)]
    reasons = [(file.number, file.failure.code) for file in batches.status(batch_id).files if file.failure]
    numbers = Counter(number for number, _ in [*outputs, *reasons])
    assert set(numbers.values()) == {1}
    return {**dict(outputs), **dict(reasons)}


def is_done(batches: Batches, batch_id: str) -> bool:
    return batches.progress(batch_id).state is State.DONE


def at_least(batches: Batches, batch_id: str, count: int) -> bool:
    progress = batches.progress(batch_id)
    return progress.done + progress.failed >= count


def test_a_thousand_photos_survive_that_their_workers_are_killed_twice(
    tiny_pack: Path, tmp_path: Path, redis_url: str, engine: Engine
) -> None:
    files = thousand()
    state, log = tmp_path / "state", tmp_path / "log"
    batches = open_batches(Settings(state_dir=state, batch_redis=redis_url))
    batch_id = submit(batches, files)
    environment = {"VISAGE_BATCH_REDIS": redis_url, "VISAGE_BATCH_JOBS": str(JOBS)}

    for done_by_then in (250, 600):
        with consuming(tiny_pack, state, log, **environment):
            assert wait_for(lambda: at_least(batches, batch_id, done_by_then), 120)  # noqa: B023
    assert not is_done(batches, batch_id)
    with consuming(tiny_pack, state, log, **environment) as last:
        assert wait_for(lambda: is_done(batches, batch_id), 120)
        last.send_signal(signal.SIGTERM)
        assert last.wait(20) == 0

    due = expected(engine, files)
    assert Counter(isinstance(each, bytes) for each in due.values()) == {True: 950, False: 50}
    assert fetched(batches, batch_id) == due
    progress = batches.progress(batch_id)
    assert (progress.total, progress.done, progress.failed) == (1000, 950, 50)
    # Only what was in hand when they were killed was begun again, and only that may lack its line.
    lines = [line for line in events(log) if line["event"] == "batch_file"]
    assert set(Counter(line["file"] for line in lines).values()) == {1}
    assert len(lines) >= FILES - 2 * JOBS
    assert sum(line["attempt"] - 1 for line in lines) <= 2 * JOBS
    assert batches.store.sizes(f"{batch_id}/in") == {}
    batches.cancel(batch_id)
    assert batches.store.ids() == []
    assert batches.queue.huey.storage.result_items() == {}


@needs_redis
def test_a_machine_that_is_cut_off_and_comes_back_loses_and_harms_nothing(
    tiny_pack: Path, tmp_path: Path, engine: Engine
) -> None:
    noise = np.random.default_rng(1)
    # Large, so that whoever is cut off has them in hand.
    files = [encode(noise.integers(0, 256, (900, 900, 3), np.uint8), "BMP") for _ in range(60)]
    store = {"VISAGE_BATCH_STORE": str(tmp_path / "shared"), "VISAGE_BATCH_JOBS": str(JOBS)}
    with running_redis(tmp_path) as url:
        settings = Settings(state_dir=tmp_path / "web", batch_redis=url, batch_store=store["VISAGE_BATCH_STORE"])
        batches = open_batches(settings)
        batch_id = submit(batches, files)
        environment = store | {"VISAGE_BATCH_REDIS": url}
        with (
            consuming(tiny_pack, tmp_path / "one", tmp_path / "one.log", **environment) as one,
            consuming(tiny_pack, tmp_path / "other", tmp_path / "other.log", **environment) as other,
        ):
            assert wait_for(lambda: all(worked_on(tmp_path / name) for name in ("one.log", "other.log")), 60)
            one.send_signal(signal.SIGSTOP)
            try:
                assert not is_done(batches, batch_id)
                assert wait_for(lambda: is_done(batches, batch_id), 120)
                before = fetched(batches, batch_id)
            finally:
                one.send_signal(signal.SIGCONT)
            for process in (one, other):
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0

        assert before == fetched(batches, batch_id) == expected(engine, files)
        assert len(batches.store.sizes(f"{batch_id}/out")) == len(files)
        lines = worked_on(tmp_path / "one.log") + worked_on(tmp_path / "other.log")
        assert sorted(line["file"] for line in lines) == list(range(1, len(files) + 1))
        assert 1 <= sum(line["attempt"] - 1 for line in lines) <= JOBS
        assert list(batches.queue.huey.storage.result_items()) == [f"{batch_id}.end"]


def worked_on(log: Path) -> list[dict[str, Any]]:
    return [line for line in events(log) if line["event"] == "batch_file"] if log.exists() else []


def test_a_full_disk_fails_one_batch_and_no_other(tiny_pack: Path, tmp_path: Path) -> None:
    start = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=8m tmpfs {tmp_path} && exec "$@"', "sh"]
    probe = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs a file system of its own: {probe.stderr.strip()}")

    command = [*start, sys.executable, "-m", "tests.pressure.full_disk", str(tiny_pack), str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    seen: Mapping[str, Any] = json.loads(ended.stdout)
    assert seen["full"]["state"] == "failed"
    assert "no room" in seen["full"]["reason"]
    assert seen["left"] == []
    assert seen["next"] == {"state": "done", "done": 3, "reason": ""}
    assert seen["consumer_lives"]
