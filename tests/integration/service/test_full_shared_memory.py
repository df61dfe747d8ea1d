"""A full /dev/shm costs counts and nothing else, whenever it fills up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.paths import ROOT
from tests.support.processes import complete, workers
from tests.support.service import Service, events, free_port
from tests.support.waiting import wait_for

MOUNT = "mount -t tmpfs -o size=2m,nr_inodes=200 tmpfs /dev/shm"
FILLS = {
    "no space": "! dd if=/dev/zero of=/dev/shm/fill bs=4k 2>/dev/null",
    "no inodes": "for n in $(seq 300); do mkdir /dev/shm/fill$n 2>/dev/null || break; done",
}


@contextmanager
def running(pack: Path, log: Path, mounts: str, **settings: str) -> Iterator[Service]:
    """Run the service with file systems of its own, until the block ends."""
    start = ["unshare", "--mount", "sh", "-c"]
    probe = subprocess.run([*start, mounts], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs a mount namespace of its own: {probe.stderr.strip()}")
    port = free_port()
    own = {"VISAGE_PACK": str(pack), "PORT": str(port), "VISAGE_STATE_DIR": f"{log}.state", "WEB_CONCURRENCY": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"} | own | settings
    command = [*start, f'{mounts} && exec "$@"', "sh", sys.executable, "app.py"]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=file, text=True)
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        assert wait_for(lambda: process.poll() is None and is_ready(service)), log.read_text()
        yield service
    finally:
        process.terminate()
        process.wait(60)


def is_ready(service: Service) -> bool:
    try:
        return requests.get(service.url + "/readyz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def fill_shared_memory(service: Service, fill: str) -> None:
    subprocess.run(["nsenter", "--mount", "--target", str(service.process.pid), "sh", "-c", FILLS[fill]], check=True)


@pytest.mark.parametrize("fill", FILLS)
def test_a_running_service_goes_on_counting(tiny_pack: Path, tmp_path: Path, tiny_png: bytes, fill: str) -> None:
    with running(tiny_pack, tmp_path / "log", MOUNT) as service:
        assert wait_for(lambda: complete(service, 1))
        fill_shared_memory(service, fill)
        before = workers(service)

        statuses = [service.post(tiny_png, route).status_code for route in ("/predict", "/anonymize", "/nothing")]
        metrics = requests.get(service.url + "/metrics", timeout=60).text

        assert statuses == [200, 200, 404]
        assert 'visage_requests_total{route="/anonymize",status="200"} 1.0' in metrics
        assert workers(service) == before


@pytest.mark.parametrize("fill", FILLS)
def test_a_new_worker_answers_photos_without_counts_and_warns_once(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, fill: str
) -> None:
    with running(tiny_pack, tmp_path / "log", MOUNT, VISAGE_BATCH_JOBS="0") as service:
        service.post(tiny_png)
        # The response counts what was pending.
        requests.get(service.url + "/metrics", timeout=60)
        fill_shared_memory(service, fill)
        (victim,) = workers(service)
        # The files of the dead worker are shrunk to its counts, so the new one finds a little less space than it needs.
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([victim], []) and is_ready(service))

        statuses = [service.post(tiny_png).status_code for _ in range(5)]
        metrics = requests.get(service.url + "/metrics", timeout=60)

    assert statuses == [200] * 5
    assert metrics.status_code == 200
    assert "visage_faces_total 3.0" in metrics.text
    warnings = [event["reason"] for event in events(service.log) if event["event"] == "metrics_disabled"]
    assert warnings == ["OSError: No space left on device"]


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("also_full", ["", " && mount -t tmpfs -o size=4k tmpfs /tmp && echo > /tmp/fill"])
def test_a_start_with_a_full_shared_memory_succeeds(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, fill: str, also_full: str
) -> None:
    if also_full and any(path.is_relative_to("/tmp") for path in (ROOT, tmp_path)):
        pytest.skip("needs a checkout and temporary files outside /tmp, because a full /tmp is mounted")
    with running(tiny_pack, tmp_path / "log", f"{MOUNT} && {FILLS[fill]}{also_full}") as service:
        assert service.post(tiny_png).status_code == 200
        assert "visage_faces_total 3.0" in requests.get(service.url + "/metrics", timeout=60).text
