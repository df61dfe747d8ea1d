"""The batch worker survives faults, reloads and scaling, and leaves the connections to the others."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.batch_client import consumer, finished, has_consumer, status, submit
from tests.support.pictures import encode
from tests.support.processes import complete, consumers, workers
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for


@pytest.mark.parametrize("fault", ["killed", "reloaded"])
def test_a_batch_continues_when_its_worker_is_replaced(tiny_pack: Path, tmp_path: Path, fault: str) -> None:
    photos = [(f"{number}.png", encode(draw(300, 300 + number), "PNG")) for number in range(40)]
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))
        batch_id = submit(service, *photos)
        assert wait_for(lambda: status(service, batch_id)["done"] > 2)
        victim = consumer(service)
        if fault == "killed":
            os.kill(victim, signal.SIGKILL)
        else:
            service.process.send_signal(signal.SIGHUP)

        end = finished(service, batch_id)

        assert (end["done"], end["failed"]) == (40, 0)
        assert wait_for(lambda: complete(service, 2) and victim not in consumers(service))
        names = [json.loads(line)["file"] for line in service.log.read_text().splitlines() if '"batch_file"' in line]
        # No file was processed twice. The file in process when the worker was killed may have no log line.
        assert len(set(names)) == len(names) >= 39


def test_a_batch_continues_after_a_restart(tiny_pack: Path, tmp_path: Path) -> None:
    photos = [(f"{number}.png", encode(draw(300, 300 + number), "PNG")) for number in range(40)]
    settings = {"VISAGE_STATE_DIR": str(tmp_path / "state"), "VISAGE_BATCH_JOBS": "1", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "first.log", tiny_pack, **settings) as service:
        batch_id = submit(service, *photos)
        assert wait_for(lambda: status(service, batch_id)["done"] > 2)

    with serving(tmp_path / "second.log", tiny_pack, **settings) as service:
        end = finished(service, batch_id)

    assert (end["done"], end["failed"]) == (40, 0)


def test_fewer_workers_do_not_include_the_batch_worker(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: len(workers(service)) == 1)

        assert has_consumer(service)
        assert finished(service, submit(service, ("a.png", tiny_png)))["done"] == 1


def test_the_last_serving_worker_remains(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: has_consumer(service))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: "Handling signal: ttou" in service.log.read_text())

        assert service.post(tiny_png).status_code == 200
        assert has_consumer(service)


def test_the_batch_worker_remains_even_as_the_oldest_of_fewer_workers(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))
        before = set(workers(service))
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        assert wait_for(lambda: len(set(workers(service)) - before) == 2 and has_consumer(service))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: len(workers(service)) == 1)

        assert has_consumer(service)
        assert finished(service, submit(service, ("a.png", tiny_png)))["done"] == 1


def test_the_batch_worker_waits_for_its_state_directory_without_restarting(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "consumers").write_text("in the way")
    settings = {"VISAGE_STATE_DIR": str(state), "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "1"}
    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        assert wait_for(lambda: '"batches_unavailable"' in service.log.read_text())

        time.sleep(1)

        assert service.log.read_text().count("Booting worker") == 2
        assert service.post(tiny_png).status_code == 200


def test_the_batch_worker_has_a_lower_priority(service: Service) -> None:
    own, others = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (consumer(service), workers(service)[0]))

    assert own == min(19, others + 10)


def test_the_batch_worker_accepts_no_connections(service: Service) -> None:
    listening = sockets(workers(service)[0])

    assert listening
    # It inherits the listening sockets and closes them.
    assert wait_for(lambda: not sockets(consumer(service)) & listening)


def sockets(process: int) -> set[Path]:
    """Return the sockets that a process has open, except those that it closes meanwhile."""
    found = set()
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(each.readlink())
    return {each for each in found if str(each).startswith("socket:")}
