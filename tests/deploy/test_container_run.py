"""The image's files and command, run on this machine as in a container."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from benchmarks.support.dockerfile import checkout, context, copied
from tests.deploy.support import ENVIRONMENT, FILES, one
from tests.support.paths import ROOT
from tests.support.service import Service, free_port
from tests.support.waiting import wait_for


@pytest.fixture
def app_directory(tmp_path: Path) -> Path:
    """The image's app directory: only the files that the Dockerfile copies there."""
    files = context(ROOT, checkout(ROOT))
    for copy in [each for each in FILES if each.word == "COPY" and not each.stage]:
        for source in copy.sources:
            for file in copied(source, files):
                into_folder = copy.target.endswith("/")
                target = tmp_path / "app" / (file if into_folder else copy.target + file.removeprefix(source))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, target)
    return tmp_path / "app"


@pytest.fixture
def container(app_directory: Path) -> Iterator[Service]:
    """The image's command with its environment. As root on Linux it can write only to its state directory."""
    state, log, port = app_directory.parent / "state", app_directory.parent / "log", free_port()
    state.mkdir()
    own = {"PORT": str(port), "VISAGE_STATE_DIR": str(state), "VISAGE_HOST": "127.0.0.1"}
    ignored = ("VISAGE_", "WEB_", "COVERAGE")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(ignored)},
        **{name: value for name, value in ENVIRONMENT.items() if name not in {"PATH", "LD_PRELOAD"}},
        **own,
    }
    # The Python of this environment replaces the image's.
    program, *arguments = one("CMD").listed
    assert program == "python"
    command = [*(confined(state) if can_unshare() else []), sys.executable, *arguments]
    with log.open("w") as log_file:
        process = subprocess.Popen(
            command, cwd=app_directory, env=environment, stdout=log_file, stderr=subprocess.STDOUT, text=True
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        assert wait_for(lambda: ready(service), 60), log.read_text()
        yield service
    finally:
        process.terminate()
        process.wait(60)


def can_unshare() -> bool:
    """Whether this process may create a mount namespace, which usually needs root."""
    tried = (
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
        if shutil.which("unshare")
        else None
    )
    return os.getuid() == 0 and tried is not None and tried.returncode == 0


def confined(state: Path) -> list[str]:
    """A command prefix that makes everything but `state` and /dev read-only and drops all capabilities."""
    script = f"""
        mount --make-rprivate / && mount --bind {state} {state}
        for place in $(cut -d' ' -f2 /proc/self/mounts); do
          case $place in {state}|/dev|/dev/*|/proc|/proc/*|/sys|/sys/*) ;; *) mount -o remount,bind,ro "$place" ;; esac
        done
        exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
    """
    return ["unshare", "--mount", "sh", "-ec", script, "sh"]


def ready(service: Service) -> bool:
    try:
        return requests.get(service.url + "/readyz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def test_the_copied_files_serve_photos_and_batches(
    container: Service, app_directory: Path, astronaut_png: bytes
) -> None:
    faces = container.post(astronaut_png).json()["faces"]
    batch = requests.post(container.url + "/batches", files={"files": astronaut_png}, timeout=60)
    url = f"{container.url}/batches/{batch.json()['id']}"

    assert len(faces) == 1
    assert faces[0]["gender"] == "Female"
    assert requests.get(container.url + "/docs", timeout=60).ok
    assert requests.get(container.url + "/static/page.js", timeout=60).ok
    assert wait_for(lambda: requests.get(url, timeout=60).json()["state"] == "done", 60)
    assert not [file for file in app_directory.rglob("*") if file.suffix == ".pyc"]


def test_sigterm_ends_the_service_with_status_0(container: Service, astronaut_png: bytes) -> None:
    assert container.post(astronaut_png).ok

    container.process.terminate()

    assert container.process.wait(60) == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to create a mount namespace")
def test_only_the_state_directory_is_writable(app_directory: Path) -> None:
    state = app_directory.parent / "state"
    state.mkdir()
    for place, writable in ((state, True), (app_directory, False), (Path("/tmp"), False), (Path("/root"), False)):
        touched = subprocess.run([*confined(state), "touch", place / "visage-test"], capture_output=True, check=False)

        assert (touched.returncode == 0) == writable, place
