"""Faults around a service: killed workers, stops and reloads under load, full and read-only file systems."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.clients import PATIENCE, Clients
from tests.support.paths import ROOT
from tests.support.processes import complete, workers
from tests.support.service import free_port, serving
from tests.support.tiny_pack import write_tiny_pack
from tests.support.waiting import wait_for


def test_a_killed_worker_fails_only_its_own_requests(tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        with Clients(service, tiny_jpeg, 6, keep=False) as clients:
            assert wait_for(lambda: clients.outcomes[200] > 20)
            victim = workers(service)[0]
            os.kill(victim, signal.SIGKILL)
            assert wait_for(lambda: victim not in workers(service) and len(workers(service)) == 2)
            after = clients.outcomes[200]
            assert wait_for(lambda: clients.outcomes[200] > after + 50)

    failed = sum(count for outcome, count in clients.outcomes.items() if outcome != 200)
    assert failed <= 6, clients.outcomes


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
def test_a_stop_under_load_completes_the_accepted_requests(
    tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes, keep: bool
) -> None:
    with (
        serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service,
        Clients(service, tiny_jpeg, 6, keep=keep) as clients,
    ):
        assert wait_for(lambda: clients.outcomes[200] > 20)
        service.process.send_signal(signal.SIGTERM)
        status = service.process.wait(60)

    assert status == 0
    # The kernel resets connections that arrive between the last accept and the close.
    assert set(clients.outcomes) <= {200, "ConnectionResetError"}, clients.outcomes
    assert clients.outcomes["ConnectionResetError"] <= 6
    assert service.log.read_text().count('"route":"/predict","status":200') == clients.outcomes[200]


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
def test_a_reload_under_load_fails_no_request(tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes, keep: bool) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", **PATIENCE) as service:
        assert wait_for(lambda: complete(service, 2))
        with Clients(service, tiny_jpeg, 6, keep=keep) as clients:
            for _ in range(3):
                before = set(workers(service))
                service.process.send_signal(signal.SIGHUP)
                assert wait_for(lambda: not before & set(workers(service)) and len(workers(service)) == 2)  # noqa: B023
                done = clients.outcomes[200]
                assert wait_for(lambda: clients.outcomes[200] > done + 20)  # noqa: B023

    assert set(clients.outcomes) == {200}, clients.outcomes


def test_a_deleted_pack_does_not_affect_a_running_service(tmp_path: Path, tiny_png: bytes) -> None:
    pack = write_tiny_pack(tmp_path / "pack")
    with serving(tmp_path / "log", pack, WEB_CONCURRENCY="1") as service:
        assert wait_for(lambda: complete(service, 1))
        before = service.post(tiny_png).json()["faces"]
        shutil.rmtree(pack)
        (victim,) = workers(service)
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: workers(service) not in ([], [victim]))

        assert service.post(tiny_png).json()["faces"] == before


def test_a_worker_that_cannot_start_stops_the_service(tiny_pack: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "broken.conf.py"
    configuration.write_text(
        f"exec(open({str(ROOT / 'gunicorn.conf.py')!r}).read())\n"
        "def post_worker_init(worker):\n    raise RuntimeError('the nets do not run')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", str(configuration), "app:app"],
        cwd=ROOT,
        env=os.environ | {"VISAGE_PACK": str(tiny_pack), "PORT": str(free_port()), "WEB_CONCURRENCY": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode != 0
    assert ended.stderr.count("Booting worker") <= 4


@contextmanager
def confined(mounts: str, root: str = "/") -> Iterator[list[str]]:
    """Yield the prefix of a command that runs in its own mount namespace, after `mounts`, in another `root`."""
    start = ["unshare", "--mount"]
    probe = subprocess.run([*start, "sh", "-c", mounts], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"needs a mount namespace of its own: {probe.stderr.strip()}")
    yield [*start, "sh", "-c", f'{mounts} && exec chroot {root} sh -c \'cd "$0" && exec "$@"\' {ROOT} "$@"', "sh"]


def assert_serves_confined(command: list[str], pack: Path, log: Path, photo: bytes) -> None:
    port = free_port()
    state = pack.parent / "state"
    own = {"VISAGE_PACK": str(pack), "VISAGE_STATE_DIR": str(state), "PORT": str(port), "WEB_CONCURRENCY": "2"}
    environment = {name: value for name, value in os.environ.items() if name != "TMPDIR"} | own
    with log.open("w") as file:
        process = subprocess.Popen([*command, sys.executable, "app.py"], cwd=ROOT, env=environment, stderr=file)
    url = f"http://127.0.0.1:{port}"
    try:

        def is_ready() -> bool:
            try:
                return requests.get(url + "/readyz", timeout=5).ok
            except (requests.ConnectionError, requests.Timeout):
                return False

        assert wait_for(is_ready), log.read_text()
        for _ in range(20):
            response = requests.post(url + "/predict", files={"image": photo}, timeout=60)
            assert response.status_code == 200, response.text
            assert len(response.json()["faces"]) == 3
        assert wait_for(lambda: "visage_faces_total 60.0" in requests.get(url + "/metrics", timeout=60).text)
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


def test_the_service_runs_on_a_read_only_file_system(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    read_only = "mount --rbind / /mnt && mount -o remount,ro,bind /mnt && ! touch /mnt/tmp/x 2>/dev/null"
    with confined(read_only, root="/mnt") as command:
        assert_serves_confined(command, tiny_pack, tmp_path / "log", tiny_png)


def test_the_service_runs_with_a_full_temporary_directory(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    if ROOT.is_relative_to("/tmp") or Path(sys.executable).is_relative_to("/tmp"):
        pytest.skip("needs a checkout outside /tmp, because an empty /tmp is mounted")
    kept = tmp_path_outside(tiny_pack)
    try:
        full = "mount -t tmpfs -o size=64k tmpfs /tmp && ! head -c 1000000 /dev/zero > /tmp/filler 2>/dev/null"
        with confined(full) as command:
            assert_serves_confined(command, kept, tmp_path / "log", tiny_png)
    finally:
        shutil.rmtree(kept.parent)


def tmp_path_outside(pack: Path) -> Path:
    """Copy `pack` to a hidden folder in the checkout, over which no test mounts anything."""
    return Path(shutil.copytree(pack, Path(tempfile.mkdtemp(prefix=".of-a-test-", dir=ROOT)) / "tiny"))
