"""Workers share the load, release memory, and are replaced without harm."""

import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.integration.service.responses import faces
from tests.support.clients import PATIENCE, Clients
from tests.support.paths import ROOT
from tests.support.processes import complete, peak, processor_seconds, reset_peak, resident, workers
from tests.support.service import serving
from tests.support.waiting import wait_for


def test_a_reload_replaces_the_workers_and_nothing_else(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", TMPDIR=str(temporary)) as service:
        assert wait_for(lambda: complete(service, 2))
        before = set(workers(service))
        service.post(tiny_png)
        service.process.send_signal(signal.SIGHUP)
        # Old and new workers overlap briefly.
        assert wait_for(lambda: not before & set(workers(service)) and complete(service, 2))
        answer = service.post(tiny_png)
        counted = wait_for(lambda: "visage_faces_total 6.0" in requests.get(service.url + "/metrics", timeout=60).text)
        service.process.send_signal(signal.SIGTERM)
        status = service.process.wait(60)

    assert len(faces(answer)) == 3
    assert counted
    assert status == 0
    assert list(temporary.iterdir()) == []


def test_a_worker_that_starts_late_gets_its_share_of_kept_connections(
    tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        early, late = sorted(workers(service))
        os.kill(late, signal.SIGSTOP)
        with Clients(service, tiny_jpeg, 4, keep=True) as clients:
            assert wait_for(lambda: clients.outcomes[200] > 50)
            before = {process: processor_seconds(process) for process in (early, late)}
            os.kill(late, signal.SIGCONT)

            def used(process: int) -> float:
                return processor_seconds(process) - before[process]

            # An idle worker uses almost no processor time.
            assert wait_for(lambda: used(early) + used(late) > 1 and used(late) > 0.2 * used(early))


def test_a_busy_service_keeps_most_connections_open(tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        kept: Counter[str] = Counter()

        def call() -> None:
            with requests.Session() as session:
                for _ in range(40):
                    answer = session.post(f"{service.url}/predict", files={"image": tiny_jpeg}, timeout=60)
                    kept[answer.headers["Connection"]] += 1

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(call) for _ in range(8)]:
                done.result()

    assert kept.total() == 320
    assert 0 < kept["close"] <= 320 / 8


def test_a_killed_worker_is_replaced(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        assert wait_for(lambda: complete(service, 1))
        (victim,) = workers(service)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([victim], []))

        assert len(faces(service.post(tiny_png))) == 3
        assert victim not in workers(service)


def test_an_idle_worker_releases_memory(tmp_path: Path) -> None:
    photo = (ROOT / "docs" / "astronaut.jpg").read_bytes()
    with serving(tmp_path / "log", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        (worker,) = workers(service)
        reset_peak(worker)
        for _ in range(3):
            service.post(photo).raise_for_status()
        used = peak(worker)

        assert wait_for(lambda: resident(worker) < used - 3), (used, resident(worker))
