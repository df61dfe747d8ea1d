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

from tests.support.batch_client import finished, submit
from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.service import Service, free_port, serving

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


# Python imports a module of this name at each start. An audit hook stays until the process ends, and in its forks. The
# events are those of connections, of looking up names, and of the listener, which proves that the hook is there
# (Python's documentation, "Audit events table"). Messages without an address go to a client that is connected.
SITE_CUSTOMIZE = """
import os, sys
def record(event, arguments):
    if event in ("socket.sendto", "socket.sendmsg"):
        is_use = arguments[1] is not None
    else:
        is_use = event in ("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
    if is_use:
        os.write(log, f"{event} {arguments[-1]}\\n".encode())
log = os.open(os.environ["USES_OF_NETWORK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(record)
"""


@pytest.fixture
def recording(tmp_path: Path) -> dict[str, str]:
    """Variables by which Python processes append the network addresses that they use to a file."""
    folder = tmp_path / "recording"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE_CUSTOMIZE)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "USES_OF_NETWORK": str(folder / "uses"), "WEB_CONCURRENCY": "1"}


def uses_of_network(recording: dict[str, str]) -> list[str]:
    return Path(recording["USES_OF_NETWORK"]).read_text().splitlines()


def test_a_start_uses_no_network(tiny_pack: Path, tmp_path: Path, tiny_png: bytes, recording: dict[str, str]) -> None:
    """Neither the master nor the workers, until a photo and a batch are done."""
    with serving(tmp_path / "log", tiny_pack, VISAGE_BATCH_JOBS="1", **recording) as service:
        assert service.post(tiny_png).status_code == 200
        finished(service, submit(service, ("photo.png", tiny_png)))

    # Visage tries whether it can listen there, then gunicorn listens.
    assert uses_of_network(recording) == 2 * [f"socket.bind ('127.0.0.1', {service.url.rpartition(':')[2]})"]


def test_a_start_with_a_pack_that_is_not_fetched_fails_instead_of_downloading(
    tmp_path: Path, recording: dict[str, str]
) -> None:
    settings = {"VISAGE_PACK": "classic", "VISAGE_STATE_DIR": str(tmp_path / "state"), "PORT": str(free_port())}
    started = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | settings | recording,
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode != 0
    assert "visage models fetch" in started.stderr
    assert uses_of_network(recording) == []
