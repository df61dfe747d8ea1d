"""Uploads of batches over a raw connection, and the unnamed files that store them."""

import select
import socket
from contextlib import suppress
from pathlib import Path

from tests.support.batch_client import connection, head
from tests.support.service import Service

MOST_BYTES = 64 * 2**20


def start_batch(service: Service, length: int, body: bytes = b"") -> bytes:
    """Send the head of a batch of `length` bytes and the start of its body, and return the response."""
    with connection(service) as client:
        client.sendall(head(length) + body)
        return client.recv(65536)


def readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def temporary_files(worker: int) -> int:
    """Count the unnamed files that a worker has open in its state directory."""
    count = 0
    for each in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += "log.state/" in str(each.readlink()) and str(each.readlink()).endswith("(deleted)")
    return count
