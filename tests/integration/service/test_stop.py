"""A signal stops the service in every phase, without dropping a request or leaving files."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.processes import complete, open_connections
from tests.support.service import Service, free_port, serving
from tests.support.waiting import wait_for


def test_sigterm_stops_the_service_at_once_and_leaves_no_files(tiny_pack: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", TMPDIR=str(temporary)) as service:
        while_serving = list(temporary.glob("visage-*"))
        service.process.send_signal(signal.SIGTERM)
        # After 30 seconds gunicorn would kill the workers.
        status = service.process.wait(25)

    assert status == 0
    assert len(while_serving) == 1
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_leaves_no_files(tiny_pack: Path, tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"VISAGE_PACK": str(tiny_pack), "PORT": str(free_port()), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    # Python tests the directory with a file of another name.
    assert wait_for(lambda: list(tmp_path.glob("visage-*")))

    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in errors


def test_a_begun_request_is_answered_after_sigterm(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BODY_SECONDS="60") as service:
        assert wait_for(lambda: complete(service, 1) and open_connections(service) == 0)
        with connected(service) as connection:
            head = "POST /predict?annotated=false HTTP/1.1\r\nHost: here\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: {len(tiny_png)}\r\n\r\n".encode() + tiny_png[:100])
            assert wait_for(lambda: open_connections(service) == 1)
            service.process.send_signal(signal.SIGTERM)
            assert wait_for(lambda: has_stopped_listening(service))
            connection.sendall(tiny_png[100:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        status = service.process.wait(60)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b'"bbox"') == 3
    assert status == 0


def connected(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def has_stopped_listening(service: Service) -> bool:
    try:
        connected(service).close()
    except ConnectionError as error:
        # A connection at the moment of the close is reset; later ones are refused.
        return isinstance(error, ConnectionRefusedError)
    return False
