"""Batches of a real service: its processes are killed, it is restarted, and its disk is full."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import requests

from tests.support.batch_client import consumer, has_consumer, packed
from tests.support.paths import ROOT
from tests.support.pictures import AVIF, GIF, HEIC, PDF, SVG, ZIP, broken_animation, encode, many_scans_jpeg
from tests.support.redis_server import needs_redis, running_redis
from tests.support.service import Service, free_port, starting
from tests.support.tiny_pack import BLUISH, MAGENTA, REDDISH, draw
from tests.support.waiting import wait_for
from visage.batches import open_batches
from visage.errors import RequestError
from visage.runtime.engine import Engine
from visage.settings import Settings

FILES = 1000
JOBS = 2


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis; empty for SQLite."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("redis")
        yield stack.enter_context(running_redis(folder)) if request.param == "redis" else ""


def broken() -> list[bytes]:
    """Return ten files that fail, each for another reason or of another format."""
    photo = encode(draw(96, 96), "JPEG")
    return [GIF, HEIC, AVIF, SVG, PDF, ZIP, b"", photo[: len(photo) // 2], broken_animation(), many_scans_jpeg(2000)]


def photo(number: int) -> bytes:
    """Return a small photo with a face, different for each number."""
    pixels = draw(112, 96, {(24, 24, 60, 60): (MAGENTA, REDDISH, BLUISH)[number % 3]})
    pixels[100:, :, 0] = number % 256
    pixels[100:, :, 1] = number // 256
    return encode(pixels, "PNG")


def thousand() -> dict[str, bytes]:
    """Return a thousand files by name; every twentieth is broken."""
    bad = broken()
    return {
        f"photo{number}": bad[number // 20 % len(bad)] if number % 20 == 7 else photo(number) for number in range(FILES)
    }


def expected(engine: Engine, files: Mapping[str, bytes]) -> dict[str, bytes | str]:
    """Return the anonymized image or the error code of each file, by name."""
    outcomes: dict[str, bytes | str] = {}
    for name, content in files.items():
        try:
            outcomes[name] = engine.anonymize(content).picture
        except RequestError as error:
            outcomes[name] = error.code
    return outcomes


@dataclass(frozen=True)
class Seen:
    """An event of a batch, its `kind`, and when it arrived, in UTC seconds."""

    kind: str
    content: dict[str, Any]
    time: float

    @property
    def count(self) -> int:
        """The number of processed files."""
        count: int = self.content["done"] + self.content["failed"]
        return count


class Watcher:
    """A client that follows a batch as browsers do: it reconnects until it gets the last event."""

    def __init__(self, url: str) -> None:
        self.events: list[Seen] = []
        self.connections = 0
        self._url = url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def has_seen_the_end(self) -> bool:
        return bool(self.events) and self.events[-1].kind == "end"

    def _watch(self) -> None:
        while not self.has_seen_the_end and not self._stopped.wait(0.1):
            with suppress(requests.RequestException):
                self._connect()

    def _connect(self) -> None:
        kind = ""
        with requests.get(self._url, stream=True, timeout=60) as answer:
            answer.raise_for_status()
            self.connections += 1
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self.events.append(Seen(kind, json.loads(value), time.time()))
                if self._stopped.is_set():
                    return


@contextmanager
def started(log: Path, port: int, pack: Path, environment: Mapping[str, str]) -> Iterator[Service]:
    """Start the service at a given port, which a second start can use again."""
    own = {"VISAGE_PACK": str(pack), "PORT": str(port), "VISAGE_HOST": "127.0.0.1", "WEB_CONCURRENCY": "2"}
    with starting(log, port, ["app.py"], {**own, **environment}) as service:

        def is_ready() -> bool:
            with suppress(requests.ConnectionError):
                return requests.get(service.url + "/readyz", timeout=20).ok
            return False

        assert wait_for(is_ready, 60), log.read_text()
        yield service


def count(url: str) -> int:
    """Return the number of processed files of the batch at `url`."""
    progress = requests.get(f"{url}?files=false", timeout=60).json()
    processed: int = progress["done"] + progress["failed"]
    return processed


def fetched(url: str) -> dict[str, bytes | str]:
    """Return the result of a batch in the form of `expected`; no file occurs twice."""
    answer = requests.get(f"{url}/result.zip", timeout=60)
    assert answer.status_code == 200, answer.text
    with ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        *pictures, (last, table) = [(name, archive.read(name)) for name in archive.namelist()]
    assert last == "failures.csv"
    failures = [(row["file"], row["code"]) for row in csv.DictReader(io.StringIO(table.decode("utf-8-sig")))]
    times = Counter(name for name, _ in [*pictures, *failures])
    assert set(times.values()) == {1}
    return {**dict(pictures), **dict(failures)}


def batch_files(*logs: Path) -> list[dict[str, Any]]:
    """Return the log lines about files of batches."""
    lines = (line for log in logs for line in log.read_text().splitlines())
    return [json.loads(line) for line in lines if '"event":"batch_file"' in line]


def test_a_thousand_photos_survive_two_killed_processes_and_a_restart(
    tiny_pack: Path, tmp_path: Path, redis_url: str, engine: Engine
) -> None:
    files, state, port = thousand(), tmp_path / "state", free_port()
    logs = tmp_path / "first.log", tmp_path / "second.log"
    own = {"VISAGE_STATE_DIR": str(state), "VISAGE_BATCH_REDIS": redis_url, "VISAGE_BATCH_JOBS": str(JOBS)}
    with ExitStack() as client:
        with started(logs[0], port, tiny_pack, own) as service:
            archive, kind = packed(*files.items()), {"Content-Type": "application/zip"}
            answer = requests.post(service.url + "/batches", data=archive, headers=kind, timeout=120)
            assert answer.status_code == 202, answer.text
            url = service.url + answer.headers["Location"]
            watcher = client.enter_context(Watcher(f"{url}/events"))
            for done_by_then in (200, 400):
                assert wait_for(lambda: count(url) >= done_by_then, 120)  # noqa: B023
                assert wait_for(lambda: has_consumer(service))
                os.kill(consumer(service), signal.SIGKILL)
            assert wait_for(lambda: count(url) >= 600, 120)
        assert not watcher.has_seen_the_end
        with started(logs[1], port, tiny_pack, own):
            assert wait_for(lambda: watcher.has_seen_the_end, 120)
            status, result = requests.get(url, timeout=60).json(), fetched(url)
            kept = list((state / "batches").glob("*/in/*"))
            assert requests.delete(url, timeout=60).status_code == 204
            queue = open_batches(Settings(state_dir=state, batch_redis=redis_url)).queue.huey.storage
            # The batch may still be in the queue.
            assert wait_for(lambda: queue.result_items() == {})

    wanted = expected(engine, files)
    assert Counter(isinstance(each, bytes) for each in wanted.values()) == {True: 950, False: 50}
    assert result == wanted
    assert [file["name"] for file in status["files"]] == list(files)
    assert {file["name"]: file["code"] for file in status["files"] if file["state"] == "failed"} == {
        name: code for name, code in wanted.items() if isinstance(code, str)
    }

    last = watcher.events[-1]
    assert (last.content["state"], last.content["done"], last.content["failed"]) == ("done", 950, 50)
    counts = [event.count for event in watcher.events]
    assert counts == sorted(counts)
    assert watcher.connections >= 2
    lines = batch_files(*logs)
    first_done = next(datetime.fromisoformat(line["time"]).timestamp() for line in lines if "faces" in line)
    assert next(event.time for event in watcher.events if event.content["done"]) - first_done < 1

    # Only files in progress were started again when the processes were killed, and only these may have no log line.
    assert set(Counter(line["file"] for line in lines).values()) == {1}
    rejected_on_arrival = sum(content == ZIP for content in files.values())
    assert len(lines) >= FILES - rejected_on_arrival - 2 * JOBS
    assert sum(line["attempt"] - 1 for line in lines) <= 2 * JOBS
    assert kept == []
    assert list((state / "batches").iterdir()) == []


@pytest.fixture(scope="module")
def full_disk(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The report of `full_disk`: a service whose disk is full, and then is not."""
    folder = tmp_path_factory.mktemp("full_disk")
    disk = folder / "disk"
    disk.mkdir()
    start = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=8m tmpfs {disk} && exec "$@"', "sh"]
    probe = subprocess.run([*start, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs its own file system: {probe.stderr.strip()}")

    command = [*start, sys.executable, "-m", "tests.pressure.full_disk", str(tiny_pack), str(disk), str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    seen: Mapping[str, Any] = json.loads(ended.stdout)
    return seen


@pytest.mark.parametrize("way", ["incomplete", "in chunks", "unpacked"])
def test_a_batch_without_room_is_rejected_as_storage_full_and_nothing_is_kept(
    full_disk: Mapping[str, Any], way: str
) -> None:
    assert full_disk["rejected"][way] == {"status": 507, "code": "storage_full"}
    assert full_disk["kept_of_rejected"] == []


def test_a_full_disk_fails_one_batch_and_no_other(full_disk: Mapping[str, Any]) -> None:
    assert full_disk["full"]["state"] == "failed"
    assert "storage for batches is full" in full_disk["full"]["reason"]
    assert full_disk["left"] == []
    assert full_disk["next"] == {"state": "done", "done": 3, "reason": ""}
    assert full_disk["consumer_lives"]


def test_single_photos_are_processed_on_a_full_disk(full_disk: Mapping[str, Any]) -> None:
    assert full_disk["photos"] == [200, 200]
