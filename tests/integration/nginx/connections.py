"""Requests over raw connections, and what nginx returns, logs and stores."""

import json
import re
import socket
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import requests

from tests.integration.nginx.proxy import port_of
from tests.support.processes import children
from tests.support.service import Service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(service)), timeout=60)


def head(route: str, length: int, kind: str = "image/png") -> bytes:
    lines = f"POST {route} HTTP/1.1", "Host: visage.example", f"Content-Type: {kind}", f"Content-Length: {length}"
    return "\r\n".join([*lines, "", ""]).encode()


def batch_head(length: int) -> bytes:
    return head("/batches", length, "application/zip")


def response_on(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


def temporary_files(server: Service) -> int:
    """The number of unnamed files below the log's directory that the processes of a server have open."""
    return len(_sizes_of_temporary_files(server))


def temporary_bytes(server: Service) -> int:
    """How many bytes these files have in all."""
    return sum(_sizes_of_temporary_files(server))


def _sizes_of_temporary_files(server: Service) -> list[int]:
    sizes = []
    for child in children(server):
        # Processes may end, and files may be closed, meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            for file in Path(f"/proc/{child}/fd").iterdir():
                with suppress(FileNotFoundError):
                    name = str(file.readlink())
                    if name.startswith(str(server.log.parent)) and name.endswith("(deleted)"):
                        sizes.append(file.stat().st_size)
    return sizes


def log_lines(nginx: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in nginx.log.read_text().splitlines()]


def assert_rejected_as_by_visage(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["X-Request-ID"])
