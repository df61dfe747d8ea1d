"""nginx streams batches and events, without storing them."""

import json
import select
from contextlib import ExitStack
from pathlib import Path

import requests

from tests.integration.nginx.connections import (
    batch_head,
    connect,
    head,
    response_on,
    temporary_bytes,
    temporary_files,
)
from tests.integration.nginx.proxy import (
    MAX_BATCH_BYTES,
    MAX_BODY_BYTES,
    PHOTOS_AT_ONCE,
    needs_nginx,
    port_of,
    proxied,
)
from tests.support.batch_client import finished, packed, result, submit
from tests.support.service import Service, serving
from tests.support.waiting import wait_for

pytestmark = needs_nginx


def test_a_rejection_by_visage_is_forwarded_unchanged(service: Service, nginx: Service) -> None:
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(connect(nginx)) for _ in range(3))
        for client in (first, second):
            client.sendall(batch_head(MAX_BATCH_BYTES) + bytes(MAX_BATCH_BYTES - 1))
        # A third batch is rejected once the others have filled the disk budget.
        assert wait_for(lambda: temporary_bytes(service) >= 2 * (MAX_BATCH_BYTES - 1))
        third.sendall(batch_head(MAX_BATCH_BYTES))
        answer = response_on(third)

        assert (answer.status, json.load(answer)["code"]) == (429, "queue_full")
        assert answer.headers["Retry-After"] == "10"


def test_a_batch_is_written_to_disk_by_visage_only(service: Service, nginx: Service) -> None:
    # The test sees temporary files of nginx, such as that of a photo.
    with connect(nginx) as connection:
        connection.sendall(head("/predict", MAX_BODY_BYTES) + bytes(MAX_BODY_BYTES - 1))
        assert wait_for(lambda: temporary_files(nginx) == 1)
    # Wait until Visage has closed the uploads of other tests.
    assert wait_for(lambda: temporary_files(nginx) == 0 and temporary_files(service) == 0)

    seen: list[tuple[int, int]] = []
    rejections: list[tuple[int, str]] = []

    def half_a_batch_is_on_one_disk() -> bool:
        with connect(nginx) as connection:
            connection.sendall(batch_head(MAX_BATCH_BYTES) + bytes(MAX_BATCH_BYTES // 2))
            while not select.select([connection], [], [], 0.02)[0]:
                seen.append((temporary_files(service), temporary_files(nginx)))
            # nginx does not wait longer than Visage.
            answer = response_on(connection)
            rejections.append((answer.status, json.loads(answer.read())["code"]))
        return (1, 0) in seen

    assert wait_for(half_a_batch_is_on_one_disk)
    assert {by_nginx for _, by_nginx in seen} == {0}
    assert set(rejections) == {(408, "body_timeout")}


def test_a_batch_that_is_too_large_is_rejected_before_it_arrives(nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(batch_head(MAX_BATCH_BYTES + 1) + bytes(10))
        answer = response_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")


def test_a_batch_is_submitted_and_downloaded(nginx: Service, tiny_png: bytes) -> None:
    archive = packed(*[(f"{number}.png", tiny_png) for number in range(5)])

    batch_id = submit(nginx, ("photos.zip", archive), method="solid")

    assert finished(nginx, batch_id)["done"] == 5
    assert len(result(nginx, batch_id)) == 5
    assert requests.delete(f"{nginx.url}/batches/{batch_id}", timeout=60).status_code == 204


def test_the_result_of_a_file_is_corrected(nginx: Service, tiny_png: bytes) -> None:
    url = f"{nginx.url}/batches/{submit(nginx, ('a.png', tiny_png))}"
    finished(nginx, url.rpartition("/")[2])
    larger_than_other_bodies = tiny_png + bytes(100_000)

    answer = requests.put(f"{url}/files/1", files={"image": ("a.png", larger_than_other_bodies)}, timeout=60)

    assert (answer.status_code, answer.json()["state"]) == (200, "done")


def test_many_results_of_files_are_fetched_at_once(nginx: Service, tiny_png: bytes) -> None:
    url = f"{nginx.url}/batches/{submit(nginx, ('a.png', tiny_png))}"
    finished(nginx, url.rpartition("/")[2])
    with ExitStack() as stack:
        # Photos that arrive take all the requests that one address may have in progress.
        for _ in range(PHOTOS_AT_ONCE):
            client = stack.enter_context(connect(nginx))
            client.sendall(head("/predict", 100) + bytes(10))
        assert wait_for(lambda: requests.post(f"{nginx.url}/predict", tiny_png, timeout=60).status_code == 429)

        assert requests.get(f"{url}/files/1", timeout=60).status_code == 200


def test_events_arrive_at_once(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    idle = serving(tmp_path / "visage.log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0")
    with idle as service, proxied(tmp_path, port_of(service)) as nginx:
        batch_id = submit(nginx, ("a.png", tiny_png))

        with requests.get(f"{nginx.url}/batches/{batch_id}/events", stream=True, timeout=60) as stream:
            # No process works on the batch, so no later event would flush a buffer.
            lines = stream.iter_lines()
            assert "event: progress" in [next(lines).decode() for _ in range(3)]
