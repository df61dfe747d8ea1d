"""Without room for the files of counts, photos are answered. A limit for the size of files stands for a full disk."""

import os
import resource
import signal
from pathlib import Path

import requests

from tests.support.paths import ROOT
from tests.support.processes import workers
from tests.support.service import Service, events, serving
from tests.support.waiting import wait_for

# Less than the largest file of counts.
LIMIT = 100_000

LIMITED = (
    f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT})); "
    f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
)
SETTINGS = {"WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}


def warnings(service: Service) -> list[str]:
    return [event["reason"] for event in events(service.log) if event["event"] == "metrics_disabled"]


def test_a_start_without_room_warns_and_each_worker_counts_for_itself(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, "-c", LIMITED, **SETTINGS) as service:
        assert service.post(tiny_png).status_code == 200
        assert "visage_faces_total 3.0" in requests.get(service.url + "/metrics", timeout=60).text

    assert warnings(service) == ["OSError: File too large"]


def test_a_new_worker_without_room_answers_photos_and_warns_once(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, **SETTINGS) as service:
        resource.prlimit(service.master, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
        (victim,) = workers(service)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([victim], []) and warnings(service))

        assert [service.post(tiny_png).status_code for _ in range(5)] == [200] * 5
        assert requests.get(service.url + "/metrics", timeout=60).status_code == 200

    assert warnings(service) == ["OSError: File too large"]
