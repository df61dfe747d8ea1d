"""A real service on loopback."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.container import IMAGE, Container
from tests.support.paths import ROOT


@dataclass(frozen=True)
class Service:
    """A running service. `log` has its output, stdout and stderr."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path

    @property
    def master(self) -> int:
        """The process ID of gunicorn's master."""
        return self.process.master if isinstance(self.process, Container) else self.process.pid

    def post(self, photo: bytes, route: str = "/predict", **query: str) -> requests.Response:
        return requests.post(self.url + route, params=query, files={"image": photo}, timeout=60)


@contextmanager
def serving(log: Path, pack: Path | str, *command: str, **environment: str) -> Iterator[Service]:
    """Run the service with `pack` until the block ends. The block starts when the service is ready.

    Python runs `command`, by default `app.py`. `{port}` in it is replaced by the port: `PORT`, or a free one.
    """
    port = int(environment.get("PORT") or free_port())
    own = {"VISAGE_PACK": str(pack), "PORT": str(port), "VISAGE_HOST": "127.0.0.1", "VISAGE_STATE_DIR": f"{log}.state"}
    # Requests that tests write byte by byte name any host.
    own |= {"VISAGE_ALLOWED_HOSTS": "*"}
    with starting(
        log, port, [part.replace("{port}", str(port)) for part in command or ("app.py",)], own | environment
    ) as service:
        _wait_until_ready(service)
        yield service


@contextmanager
def starting(log: Path, port: int, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Service]:
    """Run `command` with Python in the root of the repo until the block ends, without waiting until it is ready.

    With `VISAGE_TEST_IMAGE`, it runs in a container of that image.
    """
    process: subprocess.Popen[str]
    with log.open("w") as log_file:
        if IMAGE:
            process = Container(command, environment, log_file)
        else:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                text=True,
            )
    try:
        yield Service(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A loopback port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def events(log: Path) -> list[dict[str, Any]]:
    """The events of a log; every line is one."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if requests.get(service.url + "/readyz", timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.01)
    raise RuntimeError(f"The service did not become ready:\n{service.log.read_text()}")
