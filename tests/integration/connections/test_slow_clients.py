"""Slow clients do not delay others: a real service, with sockets that send and read slowly."""

import json
import select
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.integration.connections.sockets import (
    HEAD,
    SHORT_SECONDS,
    SMALL,
    connect,
    predict_request,
    response_on,
)
from tests.support.clients import connect_slow_reader
from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.processes import open_connections
from tests.support.service import Service, serving
from tests.support.tiny_pack import TINY_FACES
from tests.support.waiting import wait_for

STALLED = 30


def assert_served(service: Service) -> None:
    """Check that photos are answered while other clients are slow."""
    for _ in range(5):
        answer = service.post(SMALL)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["faces"]) == len(TINY_FACES)


def readable(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """The connections that have received bytes or were closed."""
    return select.select(connections, [], [], 0)[0]


BEGINNINGS = {
    "an endless head": HEAD + b"X-Never-Ends: ",
    "no body": HEAD + b"Content-Length: 100000\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 100000\r\n\r\n" + SMALL[:100],
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_stalled_requests_do_not_delay_others(service: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        assert_served(service)

        assert readable(stalled) == []


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_stalled_requests_time_out(impatient_service: Service, beginning: bytes) -> None:
    with ExitStack() as stack:
        started = time.monotonic()
        stalled = [stack.enter_context(connect(impatient_service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(beginning)

        for connection in stalled:
            status, body = response_on(connection)
            assert (status, json.loads(body)["code"]) == (408, "body_timeout")
        assert SHORT_SECONDS < time.monotonic() - started < SHORT_SECONDS + 20


def test_bodies_sent_byte_by_byte_do_not_delay_others(service: Service) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(connect(service)) for _ in range(STALLED)]
        for connection in stalled:
            connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")

        for _ in range(5):
            for connection in stalled:
                connection.sendall(b"x")
            assert_served(service)

        assert readable(stalled) == []


def test_bodies_sent_byte_by_byte_time_out(impatient_service: Service) -> None:
    with connect(impatient_service) as connection:
        started = time.monotonic()
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        while not readable([connection]):
            connection.sendall(b"x")
            time.sleep(0.05)

        assert response_on(connection)[0] == 408
        assert time.monotonic() - started < SHORT_SECONDS + 20


def test_a_photo_over_a_slow_line_arrives_after_the_time_limit(impatient_service: Service) -> None:
    photo = noise(300)
    request, started = predict_request(photo), time.monotonic()
    with connect(impatient_service) as connection:
        for start in range(0, len(request), 15_000):
            connection.sendall(request[start : start + 15_000])
            time.sleep(SHORT_SECONDS / 12)
        status, _ = response_on(connection)

    assert time.monotonic() - started > SHORT_SECONDS
    assert status == 200


def test_the_error_for_a_slow_body_tells_how_much_of_it_arrived(impatient_service: Service) -> None:
    with connect(impatient_service) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(1234))
        _, body = response_on(connection)

    assert "Only 1,234 of 100,000 bytes of the body arrived in" in json.loads(body)["error"]


def test_unread_responses_do_not_delay_others(service: Service) -> None:
    before, request = len(predictions(service)), predict_request(noise(1200))
    with ExitStack() as stack:
        for _ in range(STALLED):
            stack.enter_context(connect_slow_reader(service)).sendall(request)
        assert wait_for(lambda: len(predictions(service)) == before + STALLED)

        assert_served(service)

        assert open_connections(service) >= STALLED


def test_unread_responses_are_closed_after_the_time_limit(impatient_service: Service) -> None:
    before, request = len(predictions(impatient_service)), predict_request(noise(1200))
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connect_slow_reader(impatient_service)).sendall(request)
        assert wait_for(lambda: len(predictions(impatient_service)) == before + 3)

        assert wait_for(lambda: open_connections(impatient_service) == 0)


def predictions(service: Service) -> list[str]:
    """The log lines of successful photos."""
    return [line for line in service.log.read_text().splitlines() if '"route":"/predict","status":200' in line]


def test_the_newest_unread_responses_are_kept(tiny_pack: Path, tmp_path: Path) -> None:
    # The enhanced image has 13 MB. With a limit of 5 million pixels, a worker buffers 20 MB.
    picture = encode(np.zeros((700, 700, 3), np.uint8), "BMP")
    request = HEAD.replace(b"predict", b"enhance") + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    settings = {"VISAGE_MAX_IMAGE_PIXELS": "5000000", "VISAGE_BODY_SECONDS": "300", "VISAGE_BATCH_JOBS": "0"}
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", **settings) as service, ExitStack() as stack:
        clients = [stack.enter_context(connect_slow_reader(service)) for _ in range(4)]
        for count, connection in enumerate(clients, 1):
            connection.sendall(request)
            assert wait_for(lambda: service.log.read_text().count('"route":"/enhance"') == count)  # noqa: B023

        assert wait_for(lambda: open_connections(service) == 1)
        status, body = response_on(clients[-1])

    assert (status, len(body)) == (200, 54 + 3 * 2100**2)


def noise(side: int) -> bytes:
    """A photo whose annotated image is larger than the buffers of both sockets."""
    return encode(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8), "BMP")


def test_a_response_that_is_read_slowly_arrives_completely(service: Service) -> None:
    photo = noise(1000)
    quick = requests.post(service.url + "/predict", files={"image": photo}, timeout=60).json()
    with connect_slow_reader(service) as connection:
        connection.sendall(predict_request(photo).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        received = bytearray()
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.01)

    slow = json.loads(bytes(received).partition(b"\r\n\r\n")[2])
    assert slow["annotated_jpeg"] == quick["annotated_jpeg"]


def test_announced_bodies_beyond_the_buffer_budget_do_not_delay_others(service: Service) -> None:
    announced = HEAD + b"Content-Length: %d\r\n\r\n" % 2**24
    with ExitStack() as stack:
        for _ in range(16):
            connection = stack.enter_context(connect(service))
            connection.sendall(announced + b"x" * 2**20)
        assert_served(service)


def test_clients_beyond_the_limit_of_open_files_wait_until_stalled_ones_time_out(
    tiny_pack: Path, tmp_path: Path
) -> None:
    few_files = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)); "
    start = few_files + f"runpy.run_path({str(ROOT / 'app.py')!r}, run_name='__main__')"
    settings = {"WEB_CONCURRENCY": "1", "VISAGE_BODY_SECONDS": str(SHORT_SECONDS)}
    with serving(tmp_path / "log", tiny_pack, "-c", start, **settings) as service, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(service)).sendall(HEAD)

        answer = service.post(SMALL)

        assert answer.status_code == 200
        assert "connection_failed" not in service.log.read_text()
