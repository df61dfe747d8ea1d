"""`make image`: the engine that docker/image.sh chooses, and what it asks of it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.support import DOCKER


def install_engine(folder: Path, name: str, *, works: bool = True) -> None:
    """A program that prints its arguments; one that does not work fails at `info`, as a client without a server."""
    program = folder / name
    program.write_text(f'#!/bin/sh\n[ "$1" != info ] || exit {0 if works else 1}\necho {name} "$@"\n')
    program.chmod(0o755)


def build(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DOCKER / "image.sh", *options],
        env={"PATH": f"{folder}:{os.defpath}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def only_fakes(tmp_path: Path) -> Path:
    """A folder for fake engines. None of this machine's works."""
    for name in ("docker", "podman", "buildah"):
        install_engine(tmp_path, name, works=False)
    return tmp_path


@pytest.mark.parametrize(
    ("working", "command"),
    [
        ({"docker", "podman", "buildah"}, "docker build --tag visage ."),
        ({"podman", "buildah"}, "podman build --tag visage --format docker ."),
        ({"buildah"}, "buildah build --tag visage --format docker ."),
    ],
    ids=["docker", "podman", "buildah"],
)
def test_the_first_engine_that_works_builds_the_image(only_fakes: Path, working: set[str], command: str) -> None:
    for name in working:
        install_engine(only_fakes, name)

    assert build(only_fakes).stdout.strip() == command


def test_the_environment_names_the_engine_and_the_image_and_options_are_passed_on(only_fakes: Path) -> None:
    install_engine(only_fakes, "docker")

    built = build(only_fakes, "--pull=never", ENGINE="buildah", IMAGE="visage:test")

    assert built.stdout.strip() == "buildah build --tag visage:test --format docker --pull=never ."


def test_a_machine_without_an_engine_gets_an_explanation(only_fakes: Path) -> None:
    built = build(only_fakes)

    assert built.returncode == 1
    assert built.stderr == "Found no container engine. Install docker, podman or buildah, and start docker's service.\n"


def test_an_unknown_engine_is_rejected(only_fakes: Path) -> None:
    built = build(only_fakes, ENGINE="rkt")

    assert built.returncode == 1
    assert built.stderr == "ENGINE must be docker, podman or buildah, not rkt.\n"
