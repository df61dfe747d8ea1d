"""The files for Docker Compose, read by programs that start containers from them."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.deployment import tool
from tests.support.paths import ROOT

LAPTOP, SERVER, TLS = ("compose.yaml",), ("compose.server.yaml",), ("compose.server.yaml", "compose.tls.yaml")
REQUIRED = {"GRAFANA_PASSWORD": "secret", "CERTIFICATE": "/certificates"}

each_deployment = pytest.mark.parametrize("files", [LAPTOP, SERVER, TLS], ids=["laptop", "server", "server with TLS"])


def docker_compose() -> list[str] | None:
    """Docker Compose 2 or later, as a program or as a plugin of docker."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if tool(command[0]):
            asked = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and not asked.stdout.startswith("1."):
                return command
    return None


def podman_compose() -> str | None:
    """podman-compose, unless it is too old to print its commands, as Debian 12's is."""
    program = tool("podman-compose")
    if program is None:
        return None
    asked = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return program if "--verbose" in asked.stdout else None


DOCKER_COMPOSE = docker_compose()
PODMAN_COMPOSE = podman_compose()
needs_podman_compose = pytest.mark.skipif(PODMAN_COMPOSE is None, reason="needs podman-compose: make test-deploy")
needs_docker_compose = pytest.mark.skipif(DOCKER_COMPOSE is None, reason="needs Docker Compose 2")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment with a podman that has no containers and does nothing. A dry run asks it only for its state."""
    podman = tmp_path / "podman"
    podman.write_text('#!/bin/sh\ncase $1 in ps) echo "[]" ;; *) echo podman version 5.4.2 ;; esac\n')
    podman.chmod(0o755)
    return {**os.environ, **REQUIRED, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def options(files: tuple[str, ...]) -> list[str]:
    return [word for file in files for word in ("--file", str(ROOT / "deploy" / file))]


def created(files: tuple[str, ...], environment: dict[str, str]) -> dict[str, list[str]]:
    """The words of the commands with which podman-compose would create the containers, by service."""
    command = [str(PODMAN_COMPOSE), "--verbose", "--dry-run", *options(files), "up", "--detach"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = re.findall(r"INFO:podman_compose:(podman create .*)", ran.stderr)
    commands = {re.findall(r"io\.podman\.compose\.service=(\S+)", line)[0]: shlex.split(line) for line in lines}
    assert commands, ran.stderr
    return commands


@needs_podman_compose
@each_deployment
def test_podman_compose_creates_containers_with_minimal_privileges(
    files: tuple[str, ...], environment: dict[str, str]
) -> None:
    for service, words in created(files, environment).items():
        line = " ".join(words)

        assert "--read-only" in words, service
        assert "--cap-drop ALL" in line, service
        assert "--security-opt no-new-privileges:true" in line, service
        assert re.search(r" -m \d+[mg] ", line), service
        assert "--restart unless-stopped" in line, service


@needs_podman_compose
def test_podman_compose_limits_the_laptop_service_and_publishes_it_on_loopback(environment: dict[str, str]) -> None:
    line = " ".join(created(LAPTOP, environment)["visage"])

    assert "--cpus 2.0 -m 4500m --pids-limit 512" in line
    assert "-p 127.0.0.1:8080:8080" in line
    assert "--tmpfs /tmp" in line
    assert "source=visage_state,destination=/state" in line


@needs_podman_compose
def test_podman_compose_creates_every_service_of_the_server(environment: dict[str, str]) -> None:
    plain, encrypted = created(SERVER, environment), created(TLS, environment)

    assert set(plain) == set(encrypted) == {"nginx", "visage", "batches", "redis", "prometheus", "grafana"}
    assert [word for word in plain["nginx"] if word in {"80:8080", "443:8443"}] == ["80:8080"]
    assert [word for word in encrypted["nginx"] if word in {"80:8080", "443:8443"}] == ["80:8080", "443:8443"]


@needs_docker_compose
@each_deployment
def test_docker_compose_accepts_the_files(files: tuple[str, ...]) -> None:
    command = [*(DOCKER_COMPOSE or ()), *options(files), "config", "--quiet"]
    checked = subprocess.run(command, env={**os.environ, **REQUIRED}, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


@needs_docker_compose
@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_docker_compose_asks_for_what_is_not_set(missing: str) -> None:
    command = [*(DOCKER_COMPOSE or ()), *options(TLS), "config", "--quiet"]
    given = {name: value for name, value in {**os.environ, **REQUIRED}.items() if name != missing}
    checked = subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    assert checked.returncode != 0
    assert missing in checked.stderr
