"""The service in a container, as deploy/compose.yaml runs it, so that tests of the service test the image.

`VISAGE_TEST_IMAGE` names an image that podman has; podman must be able to run it as root, on the host's network.
"""

import os
import subprocess
import uuid
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO

import yaml

from tests.support.paths import ROOT
from tests.support.waiting import wait_for

IMAGE = os.environ.get("VISAGE_TEST_IMAGE")


class Container(subprocess.Popen[str]):
    """`podman run` of the service. It passes signals on and ends with the status of the container."""

    def __init__(self, environment: Mapping[str, str], log: IO[str]) -> None:
        self._name = f"visage-{uuid.uuid4().hex}"
        # podman asks systemd for health checks, and would complain in the service's log where there is none.
        options = [
            "--rm",
            "--name",
            self._name,
            "--network",
            "host",
            "--no-healthcheck",
            *limits(),
            *mounts(environment),
        ]
        for name, value in environment.items():
            options += ["--env", f"{name}={value}"]
        super().__init__(["podman", "run", *options, str(IMAGE)], stdout=log, stderr=subprocess.STDOUT, text=True)

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
        path = Path(value)
        if path.is_absolute() and (path.is_dir() or name == "VISAGE_STATE_DIR"):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755 if name == "VISAGE_PACK" else 0o777)
            options += ["--volume", f"{path}:{path}{':ro' if name == 'VISAGE_PACK' else ''}"]
    return options
