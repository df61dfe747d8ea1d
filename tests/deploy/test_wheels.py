"""The wheels of OpenCV, numpy and Pillow for the image."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.support import DOCKER, STAGES
from tests.support.paths import ROOT

REQUIREMENT = re.findall(r"^opencv-python-headless==[0-9.]+", (DOCKER / "opencv.txt").read_text(), re.MULTILINE)[0]


def test_the_compiled_sources_have_the_required_versions() -> None:
    python = re.findall(r"python:(3\.\d+)-alpine", STAGES["python"][0].rest)[0]
    (numpy,) = re.findall(r"^numpy==[0-9.]+", (DOCKER / "numpy.txt").read_text(), re.MULTILINE)

    required = (ROOT / "requirements.txt").read_text().splitlines()
    markers = f'; python_version >= "{python}" or platform_machine != "x86_64"'
    assert f"{REQUIREMENT} {markers}" in required
    assert f"{numpy} {markers}" in required
    assert set(re.findall(r"^pillow==[0-9.]+", (DOCKER / "pillow.txt").read_text(), re.MULTILINE)) <= set(required)


def test_the_opencv_script_lists_missing_tools(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "uname", "nproc", "mkdir"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))

    tried = subprocess.run(
        [DOCKER / "build-opencv.sh", tmp_path / "wheels"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert tried.returncode == 1
    assert tried.stderr.startswith("not installed: c++ cmake make python3")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path)


def make_wheel(folder: Path) -> Path:
    module, licence = folder / "cv2.abi3.so", folder / "LICENSE.txt"
    module.write_bytes(b"a module")
    licence.write_text("A licence.")
    command: list[str | Path] = [sys.executable, DOCKER / "wheel.py", module, folder, licence]
    command += ["--requirement", DOCKER / "opencv.txt"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel with pip, which verifies each file against the wheel's RECORD."""
    options = ("--quiet", "--no-deps", "--no-index", "--find-links", wheel.parent, "--target", folder)
    subprocess.run([sys.executable, "-m", "pip", "install", *options, REQUIREMENT], check=True)
    return folder


def test_the_wheel_satisfies_the_requirement_for_opencv(wheel: Path, tmp_path: Path) -> None:
    installed = install(wheel, tmp_path / "installed")

    assert (installed / "cv2.abi3.so").read_bytes() == b"a module"
    (distribution,) = importlib.metadata.distributions(path=[str(installed)])
    assert distribution.version == REQUIREMENT.partition("==")[2] + "+visage"
    assert distribution.metadata["Name"] == "opencv-python-headless"
    assert [str(file) for file in distribution.files or () if file.name == "LICENSE.txt"]


def test_the_wheel_is_reproducible(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    assert make_wheel(other).read_bytes() == wheel.read_bytes()
