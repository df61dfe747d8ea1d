"""Requests to the batch routes of a real service."""

import io
import socket
import zipfile
from typing import Any

import requests

from tests.support.processes import consumers
from tests.support.service import Service
from tests.support.waiting import wait_for


def form(*photos: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", photo) for photo in photos]


def packed(*files: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for name, content in files:
            writer.writestr(name, content, compression)
    return archive.getvalue()


def submit(service: Service, *photos: tuple[str, bytes], **fields: str) -> str:
    answer = requests.post(service.url + "/batches", files=form(*photos), data=fields, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def status(service: Service, batch_id: str) -> dict[str, Any]:
    answer = requests.get(f"{service.url}/batches/{batch_id}", timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def finished(service: Service, batch_id: str) -> dict[str, Any]:
    assert wait_for(lambda: status(service, batch_id)["state"] == "done", 120)
    return status(service, batch_id)


def result(service: Service, batch_id: str) -> dict[str, bytes]:
    answer = requests.get(f"{service.url}/batches/{batch_id}/result.zip", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def head(length: int) -> bytes:
    return b"POST /batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\nContent-Length: %d\r\n\r\n" % length


def connection(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60)


def consumer(service: Service) -> int:
    """The process ID of the batch consumer."""
    (found,) = consumers(service)
    return found


def has_consumer(service: Service) -> bool:
    return len(consumers(service)) == 1
