"""Without room for the files of counts, photos are answered. A limit for the size of files stands for a full disk."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

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


def limit_size_of_files(process: int) -> None:
    """Only the process's own user may do that. In a container that is another one, which root can become."""
    owner = Path(f"/proc/{process}").stat()
    as_owner: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    command = ["prlimit", "--pid", str(process), f"--fsize={LIMIT}:{LIMIT}"]
    subprocess.run(command, **(as_owner if os.getuid() == 0 else {}), check=True)


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
        limit_size_of_files(service.master)
        (victim,) = workers(service)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([victim], []) and warnings(service))

        assert [service.post(tiny_png).status_code for _ in range(5)] == [200] * 5
        assert requests.get(service.url + "/metrics", timeout=60).status_code == 200

    assert warnings(service) == ["OSError: File too large"]
