"""What SECURITY.md promises of tokens, photos and the network."""

import base64
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.service import Service, serving

TOKEN, WRONG = "s3cret-of-the-service", "guess-of-a-client"
SETTINGS = {"WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}


@pytest.fixture(scope="module")
def guarded(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a token, which logs as much as it can."""
    log = tmp_path_factory.mktemp("promises") / "log"
    with serving(log, tiny_pack, VISAGE_API_TOKEN=TOKEN, VISAGE_LOG_LEVEL="debug", **SETTINGS) as service:
        yield service


def send(service: Service, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(2**16), b""))


@pytest.mark.parametrize("token", [TOKEN, WRONG])
@pytest.mark.parametrize(
    ("request_line", "rest"),
    [
        pytest.param("POST /predict HTTP/1.1", "Content-Length: 4\r\n\r\ntext", id="photo"),
        pytest.param("POST /batches HTTP/1.1", "Content-Length: 4\r\n\r\ntext", id="batch"),
        pytest.param("GET /metrics HTTP/1.1", "\r\n", id="metrics"),
        pytest.param("GET /nothing?token={token} HTTP/1.1", "\r\n", id="in the address"),
        pytest.param("POST /predict HTTP/1.1", "no header\r\n\r\n", id="invalid HTTP"),
        pytest.param("POST /predict HTTP/1.1", f"Content-Length: {2**40}\r\n\r\n", id="too large"),
        pytest.param("POST /predict HTTP/1.1", "Content-Length: 4\r\n\r\nte", id="half a body"),
    ],
)
def test_a_token_is_never_logged(guarded: Service, token: str, request_line: str, rest: str) -> None:
    head = f"{request_line.format(token=token)}\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"

    assert send(guarded, (head + rest).encode()).startswith(b"HTTP/1.1 ")

    assert token not in guarded.log.read_text()


def test_photos_are_never_written_to_files(tiny_pack: Path, tmp_path: Path) -> None:
    """A process that may write files of 100,000 bytes only answers larger photos, as files, in forms and in JSON."""
    photo = encode(np.random.default_rng(1).integers(0, 256, (500, 500, 3), np.uint8), "PNG")
    start = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    start += f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
    assert len(photo) > 500_000
    with serving(tmp_path / "log", tiny_pack, "-c", start, **SETTINGS) as service:
        for route in ("/predict", "/analyze", "/anonymize", "/enhance"):
            responses = [
                requests.post(service.url + route, data=photo, headers={"Content-Type": "image/png"}, timeout=60),
                requests.post(service.url + route, files={"image": photo}, timeout=60),
                requests.post(service.url + route, json={"image": base64.b64encode(photo).decode()}, timeout=60),
            ]
            assert [(response.status_code, route) for response in responses] == [(200, route)] * 3


# The events of Python's audit hooks for connections and for looking up names (its documentation, "Audit events table").
OFFLINE = """
import sys
def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(forbid)
from visage.web import create_app
create_app()
"""


def offline(pack: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"VISAGE_PACK": pack} | settings
    return subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_start_uses_no_network(tiny_pack: Path) -> None:
    started = offline(str(tiny_pack))

    assert started.returncode == 0, started.stderr


def test_a_start_with_a_pack_that_is_not_fetched_fails_instead_of_downloading() -> None:
    started = offline("classic")

    assert started.returncode != 0
    assert "visage models fetch" in started.stderr
    assert "socket" not in started.stderr.rpartition("visage.errors")[2]
