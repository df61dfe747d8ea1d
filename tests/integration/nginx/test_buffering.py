"""nginx protects Visage from slow and stalled clients."""

import json
import select
import socket
import time
from contextlib import ExitStack

import numpy as np

from tests.integration.nginx.connections import (
    connect,
    head,
    response_on,
    temporary_files,
)
from tests.integration.nginx.proxy import (
    BODY_SECONDS,
    MAX_BODY_BYTES,
    PHOTOS_AT_ONCE,
    needs_nginx,
    port_of,
)
from tests.support.pictures import encode
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = needs_nginx


def test_nginx_buffers_clients_that_are_too_slow_for_visage(service: Service, nginx: Service, tiny_png: bytes) -> None:
    def send_slowly(to: Service, pieces: int) -> int:
        with connect(to) as connection:
            connection.sendall(head("/predict?annotated=false", len(tiny_png)) + tiny_png[:-pieces])
            for number in range(-pieces, 0):
                # Stop sending once a response has arrived.
                if select.select([connection], [], [], BODY_SECONDS / 2)[0]:
                    break
                connection.sendall(tiny_png[number:][:1])
            return response_on(connection).status

    # Enough pieces for a busy machine to notice the timeout.
    assert send_slowly(service, 60) == 408
    assert send_slowly(nginx, 4) == 200


def test_stalled_clients_do_not_reach_visage(service: Service, nginx: Service, tiny_png: bytes) -> None:
    def stall(to: Service, request_id: str) -> None:
        named = head("/predict", 100_000).replace(b"Host", f"X-Request-ID: {request_id}\r\nHost".encode())
        stack.enter_context(connect(to)).sendall(named + tiny_png[:100])

    def timed_out() -> list[str]:
        lines = (json.loads(line) for line in service.log.read_text().splitlines() if '"body_timeout"' in line)
        return [line["request_id"] for line in lines]

    with ExitStack() as stack:
        for _ in range(PHOTOS_AT_ONCE - 1):
            stall(nginx, "behind-nginx")
        stall(service, "alone")

        assert wait_for(lambda: "alone" in timed_out())
        assert nginx.post(tiny_png).status_code == 200

    assert "behind-nginx" not in timed_out()


def test_a_response_that_is_read_slowly_arrives_completely_without_a_temporary_file(nginx: Service) -> None:
    photo = encode(np.random.default_rng(1).integers(0, 256, (580, 580, 3), np.uint8), "BMP")
    assert MAX_BODY_BYTES - 50_000 < len(photo) < MAX_BODY_BYTES
    received = bytearray()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port_of(nginx)))
        connection.sendall(head("/anonymize", len(photo)).replace(b"Host", b"Connection: close\r\nHost") + photo)
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.001)
            assert temporary_files(nginx) == 0

    response_head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert response_head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == len(photo)
