"""The service in a container, as deploy/compose.yaml runs it, so that tests of the service test the image.

`VISAGE_TEST_IMAGE` names an image that podman has; podman must be able to run it as root, on the host's network.
"""

import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import IO, ClassVar

import pytest
import yaml

from tests.support.paths import ROOT
from tests.support.waiting import wait_for

IMAGE = os.environ.get("VISAGE_TEST_IMAGE")

# Where the image has what a checkout has in its root.
APP = "/app"


class Container(subprocess.Popen[str]):
    """`podman run` of Python in the image. It passes signals on and ends with the status of the container."""

    started: ClassVar[list["Container"]] = []

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: IO[str]) -> None:
        self._name = f"visage-{uuid.uuid4().hex}"
        options = ["--rm", "--name", self._name, "--network", "host", *limits(), *mounts(environment)]
        # A line of the log is there before the response, as without podman.
        options += ["--log-driver", "passthrough"]
        # podman asks systemd for health checks, and would complain in the service's log where there is none.
        options += ["--no-healthcheck"]
        for name, value in environment.items():
            options += ["--env", f"{name}={in_image(value)}"]
        words = ["podman", "run", *options, str(IMAGE), "python", *map(in_image, command)]
        super().__init__(words, stdout=log, stderr=subprocess.STDOUT, text=True)
        self.started.append(self)

    @cached_property
    def master(self) -> int:
        """The process ID of the service's master on this machine."""
        command = ["podman", "inspect", "--format", "{{.State.Pid}}", self._name]
        found: list[int] = []

        def running() -> bool:
            printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
            found.append(int(printed or 0))
            return found[-1] > 0

        assert wait_for(running), "The container has no process."
        return found[-1]


def in_image(text: str) -> str:
    """A part of a command or a variable, with the paths of the image."""
    return text.replace(str(ROOT), APP)


def limits() -> list[str]:
    """The options of deploy/compose.yaml that protect the machine from the service."""
    service = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]["visage"]
    assert service["read_only"]
    options = ["--read-only", "--pids-limit", str(service["pids_limit"]), "--memory", str(service["mem_limit"])]
    options += ["--cpus", str(service["cpus"])]
    for option, key in (("--tmpfs", "tmpfs"), ("--cap-drop", "cap_drop"), ("--security-opt", "security_opt")):
        for value in service[key]:
            options += [option, str(value).removesuffix(":true")]
    return options


def mounts(environment: Mapping[str, str]) -> list[str]:
    """Volumes for the directories that the environment names, under the same names. Only packs are read-only."""
    options = []
    for name, value in environment.items():
        for path in map(Path, value.split(os.pathsep)):
            if not path.is_absolute() or path.is_relative_to(ROOT):
                continue
            if path.is_dir() or name == "VISAGE_STATE_DIR":
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o755 if name == "VISAGE_PACK" else 0o777)
                options += ["--volume", f"{path}:{path}{':ro' if name == 'VISAGE_PACK' else ''}"]
    return options


@cache
def lacks(package: str) -> bool:
    """Whether a container is tested whose image does not contain a Python package."""
    command = ["podman", "run", "--rm", str(IMAGE), "python", "-c", f"import {package}"]
    return IMAGE is not None and subprocess.run(command, capture_output=True, check=False).returncode != 0


def of_the_checkout(reason: str) -> pytest.MarkDecorator:
    """Marks tests of what a container has not, with the reason."""
    return pytest.mark.skipif(IMAGE is not None, reason=reason)
