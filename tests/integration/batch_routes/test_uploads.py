"""Uploads of batches are limited in size, number and time, and stored outside memory."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.integration.batch_routes.uploads import MOST_BYTES, readable, start_batch, temporary_files
from tests.support.batch_client import connection, head, packed
from tests.support.pictures import encode
from tests.support.processes import peak, reset_peak, resident, workers
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for
from visage.settings import MAX_TRANSFERS

# VISAGE_BODY_SECONDS of the impatient service.
BODY_SECONDS = 3.0


@pytest.fixture(scope="module")
def impatient(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a short timeout for bodies, and without a batch worker."""
    log = tmp_path_factory.mktemp("impatient_batches") / "log"
    settings = {"VISAGE_BATCH_JOBS": "0", "VISAGE_BODY_SECONDS": str(BODY_SECONDS)}
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        yield service


def test_a_batch_over_the_size_limit_is_rejected_before_its_body_arrives(service: Service) -> None:
    response = start_batch(service, MOST_BYTES + 1)

    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in response


def test_the_error_for_a_large_chunked_batch_asks_for_its_length(tiny_pack: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_MAX_BODY_BYTES="100000") as service:
        headers = {"Content-Type": "application/zip"}
        response = requests.post(service.url + "/batches", data=iter([bytes(200_000)]), headers=headers, timeout=60)

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert "Content-Length" in response.json()["error"]


def test_a_batch_over_the_concurrency_limit_is_rejected_before_its_body_arrives(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_TRANSFERS):
            client = stack.enter_context(connection(service))
            client.sendall(head(1_000_000) + bytes(10))
        assert wait_for(lambda: temporary_files(workers(service)[0]) == MAX_TRANSFERS)

        response = start_batch(service, 1000)

    assert response.startswith(b"HTTP/1.1 429 ")
    assert wait_for(lambda: temporary_files(workers(service)[0]) == 0)


def test_a_large_batch_is_not_held_in_memory(service: Service) -> None:
    (worker,) = workers(service)
    archive = packed(*[(f"{number}.bmp", bytes(2_000_000)) for number in range(30)])
    before = resident(worker)
    reset_peak(worker)

    response = requests.post(
        service.url + "/batches", data=archive, headers={"Content-Type": "application/zip"}, timeout=60
    )

    assert response.status_code == 202, response.text
    assert len(archive) > 60_000_000
    assert peak(worker) - before < 25
    requests.delete(service.url + response.headers["Location"], timeout=60)


def test_photos_are_analyzed_while_a_batch_arrives(service: Service, tiny_png: bytes) -> None:
    with connection(service) as client:
        client.sendall(head(10_000_000) + bytes(5_000_000))

        assert service.post(tiny_png).status_code == 200


def test_a_batch_may_arrive_more_slowly_than_a_photo(impatient: Service) -> None:
    archive = packed(("a.bmp", encode(draw(200, 200), "BMP")))
    with connection(impatient) as client:
        started = time.monotonic()
        client.sendall(head(len(archive)))
        for start in range(0, len(archive), 20_000):
            client.sendall(archive[start : start + 20_000])
            time.sleep(0.6)
        response = client.recv(65536)

    assert time.monotonic() - started > BODY_SECONDS
    assert response.startswith(b"HTTP/1.1 202 ")


def test_a_batch_below_the_minimum_rate_times_out_and_leaves_no_file(impatient: Service) -> None:
    (worker,) = workers(impatient)
    with connection(impatient) as client:
        client.sendall(head(1_000_000))
        # At this rate the batch would take minutes.
        end = time.monotonic() + 60
        while time.monotonic() < end and not readable(client):
            client.sendall(bytes(200))
            time.sleep(0.1)
        response = client.recv(65536)

    assert response.startswith(b"HTTP/1.1 408 ")
    assert b"10,000 bytes a second" in response
    assert wait_for(lambda: temporary_files(worker) == 0)


def test_an_aborted_batch_leaves_no_file(service: Service) -> None:
    (worker,) = workers(service)
    with connection(service) as client:
        client.sendall(head(1_000_000) + bytes(500_000))
        assert wait_for(lambda: temporary_files(worker) == 1)

    assert wait_for(lambda: temporary_files(worker) == 0)


def test_bytes_after_a_batch_are_the_next_request(service: Service, tiny_png: bytes) -> None:
    archive = packed(("a.png", tiny_png))
    with connection(service) as client:
        client.sendall(head(len(archive)) + archive + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        responses = b"".join(iter(lambda: client.recv(65536), b""))

    assert responses.startswith(b"HTTP/1.1 202 ")
    assert responses.count(b"HTTP/1.1 200 ") == 1
