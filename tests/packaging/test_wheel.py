"""The wheel and the sdist, as a user installs them: an empty environment and an empty directory outside the repo."""

import importlib.util
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support.paths import ROOT
from tests.support.service import free_port

ASTRONAUT = ROOT / "docs" / "astronaut.jpg"

# pip's own, because a second download would take as long as the first.
CACHE = os.environ.get("PIP_CACHE_DIR") or str(Path.home() / ".cache" / "pip")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("check_wheel_contents") is None, reason="needs build tools: make test-wheel"
)


@dataclass(frozen=True)
class Built:
    """A wheel and an sdist."""

    wheel: Path
    sdist: Path


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment variables of a user without any of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VISAGE_", "PYTHON", "COV"))}
    return kept | {"HOME": str(home)} | more


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and its extra `serve`, and an empty directory to work in."""

    scripts: Path
    directory: Path

    @property
    def home(self) -> Path:
        """The home directory of the user."""
        return self.directory.parent

    def run(self, *command: str) -> str:
        """Run a command of the environment and return its output."""
        script, *arguments = command
        return subprocess.run(
            [str(self.scripts / script), *arguments],
            cwd=self.directory,
            env=environment(self.home),
            capture_output=True,
            text=True,
            check=True,
        ).stdout


def python(*arguments: str | Path) -> str:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel is built from the sdist, so a file that the sdist lacks is missing here."""
    if "DIST" in os.environ:  # the files that will be published
        folder = ROOT / os.environ["DIST"]
    else:
        folder = tmp_path_factory.mktemp("dist")
        python("-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("home")
    python("-m", "venv", "--without-pip", home / "env")
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(home / "env"),
        "install",
        "--quiet",
        f"{built.wheel}[serve]",
    ]
    subprocess.run(command, env=environment(home, PIP_CACHE_DIR=CACHE), check=True)
    (home / "empty").mkdir()
    return Installed(home / "env" / "bin", home / "empty")


def test_the_distributions_pass_the_checks_of_their_tools(built: Built) -> None:
    assert "PASSED" in python("-m", "twine", "check", "--strict", built.wheel, built.sdist)
    assert "OK" in python("-m", "check_wheel_contents", built.wheel)


def test_the_wheel_has_the_bundled_pack_and_all_files_of_the_service(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())

    tracked = subprocess.run(["git", "ls-files", "visage"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    generator = "visage/web/openapi/"
    assert {name for name in tracked.split() if not name.startswith(generator)} <= names
    assert {f"visage/models/compact/{each.name}" for each in (ROOT / "models/compact").iterdir()} <= names
    assert {name.split("/")[0] for name in names} == {"visage", f"{built.wheel.name.split('-py3')[0]}.dist-info"}


def test_the_command_annotates_a_photo_in_an_empty_directory(installed: Installed) -> None:
    photo = installed.directory / "photo.jpg"
    photo.write_bytes(ASTRONAUT.read_bytes())

    assert "1 face" in installed.run("visage", "predict", "photo.jpg", "-o", ".")
    assert {each.name for each in installed.directory.iterdir()} == {"photo.jpg", "photo_faces.jpg"}


def test_the_module_is_the_command(installed: Installed) -> None:
    assert installed.run("python", "-m", "visage", "--version").startswith("visage, version ")


def test_the_package_can_be_imported_with_opencv_and_numpy_alone(installed: Installed) -> None:
    code = "import sys, visage; print({'flask', 'click', 'PIL', 'requests'} & set(sys.modules))"

    assert installed.run("python", "-c", code) == "set()\n"


@pytest.fixture
def url(installed: Installed) -> Iterator[str]:
    """The URL of `visage serve`."""
    port = free_port()
    variables = environment(installed.home, WEB_CONCURRENCY="1")
    command = [str(installed.scripts / "visage"), "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=installed.directory, env=variables) as process:
        try:
            yield _when_ready(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _when_ready(url: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(f"{url}/readyz", timeout=5).ok:
                return url
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError("visage serve did not become ready")


def test_the_command_serves_with_its_page_and_batches(installed: Installed, url: str) -> None:
    with ASTRONAUT.open("rb") as photo:
        assert len(requests.post(f"{url}/predict", files={"image": photo}, timeout=60).json()["faces"]) == 1
    assert requests.get(f"{url}/static/page.js", timeout=10).ok
    assert "<title>" in requests.get(f"{url}/docs", timeout=10).text
    assert requests.get(f"{url}/batches", timeout=10).ok
    assert (installed.home / ".local" / "state" / "visage").is_dir()


def test_pipx_runs_the_command_from_the_wheel(built: Built, installed: Installed) -> None:
    command = [sys.executable, "-m", "pipx", "run", "--spec", str(built.wheel), "visage", "predict", str(ASTRONAUT)]
    found = subprocess.run(
        command,
        cwd=installed.directory,
        env=environment(installed.home, PIPX_HOME=str(installed.home / "pipx"), PIP_CACHE_DIR=CACHE),
        capture_output=True,
        text=True,
        check=True,
    )

    assert "1 face" in found.stdout
