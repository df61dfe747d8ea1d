"""Batches over HTTP: a real gunicorn accepts them, and its batch worker processes them."""

import csv
import io
import json
import os
import select
import signal
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient

from tests.support.batch_client import (
    connection,
    consumer,
    finished,
    form,
    has_consumer,
    head,
    packed,
    result,
    status,
    submit,
)
from tests.support.pictures import GIF, encode
from tests.support.processes import complete, consumers, peak, reset_peak, resident, workers
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for
from visage.batches.processing import Processor
from visage.batches.state_machine import LeaseOwner
from visage.settings import MAX_TRANSFERS, MAX_WATCHERS, Settings
from visage.web import create_app

# VISAGE_BODY_SECONDS for most tests, and for those with slow clients.
PATIENCE = 300.0
BODY_SECONDS = 3.0

MOST_FILES = 40
MOST_BYTES = 64 * 2**20
TOKEN = "not-a-secret"


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("batch_routes") / "log"
    settings = {
        "VISAGE_BATCH_JOBS": "2",
        "VISAGE_BODY_SECONDS": str(PATIENCE),
        "VISAGE_MAX_BATCH_FILES": str(MOST_FILES),
        "VISAGE_MAX_BATCH_BYTES": str(MOST_BYTES),
    }
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        assert wait_for(lambda: complete(service, 1))
        yield service


@pytest.fixture(scope="module")
def impatient(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a short timeout for bodies, and without a batch worker."""
    log = tmp_path_factory.mktemp("impatient_batches") / "log"
    settings = {"VISAGE_BATCH_JOBS": "0", "VISAGE_BODY_SECONDS": str(BODY_SECONDS)}
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        yield service


@pytest.fixture
def idle(tiny_pack: Path, tmp_path: Path) -> FlaskClient:
    """An app whose batches no worker processes."""
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state", max_batch_files=5))
    return app.test_client()


def state(service: Service) -> Path:
    return Path(f"{service.log}.state")


def redacted(service: Service, photo: bytes, **query: str) -> bytes:
    return service.post(photo, "/anonymize", **query).content


def test_photos_in_a_form_are_returned_anonymized_in_a_zip(service: Service, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    batch_id = submit(service, ("one.png", tiny_png), ("two.jpg", tiny_jpeg))

    end = finished(service, batch_id)
    assert (end["task"], end["total"], end["done"], end["failed"]) == ("anonymize", 2, 2, 0)
    assert end["files"] == [
        {"name": name, "state": "done", "faces": int(service.post(photo, "/anonymize").headers["X-Face-Count"])}
        for name, photo in (("one.png", tiny_png), ("two.jpg", tiny_jpeg))
    ]
    assert result(service, batch_id) == {
        "one.png": redacted(service, tiny_png),
        "two.jpg": redacted(service, tiny_jpeg),
    }


def test_parameters_in_the_query_and_anywhere_in_the_form_have_an_effect(service: Service, tiny_png: bytes) -> None:
    boundary = b"--x\r\nContent-Disposition: form-data; name="
    body = boundary + b'"files"; filename="a.png"\r\n\r\n' + tiny_png + b"\r\n"
    body += boundary + b'"method"\r\n\r\nsolid\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    response = requests.post(service.url + "/batches?shape=box", data=body, headers=headers, timeout=60)
    batch_id = response.json()["id"]

    assert response.headers["Location"] == f"/batches/{batch_id}"
    finished(service, batch_id)
    assert result(service, batch_id) == {"a.png": redacted(service, tiny_png, method="solid", shape="box")}


@pytest.mark.parametrize("way", ["in a form", "as the body", "in chunks"])
def test_a_zip_is_unpacked(service: Service, tiny_png: bytes, way: str) -> None:
    archive = packed(("holiday/a.png", tiny_png), ("holiday/b.png", tiny_png), ("__MACOSX/._a.png", b"x"))
    url, zipped = service.url + "/batches", {"Content-Type": "application/zip"}

    if way == "in a form":
        response = requests.post(url, files=form(("holiday.zip", archive), ("c.png", tiny_png)), timeout=60)
    else:
        body = archive if way == "as the body" else iter([archive])
        response = requests.post(url, data=body, headers=zipped, timeout=60)

    assert response.status_code == 202, response.text
    names = [file["name"] for file in finished(service, response.json()["id"])["files"]]
    assert names == ["holiday/a.png", "holiday/b.png"] + (["c.png"] if way == "in a form" else [])


def test_attributes_are_returned_as_tables(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), ("none.png", encode(draw(96, 96), "PNG")), task="predict")

    finished(service, batch_id)
    tables = result(service, batch_id)

    assert sorted(tables) == ["results.csv", "results.jsonl"]
    lines = [json.loads(line) for line in tables["results.jsonl"].splitlines()]
    assert [(line["file"], len(line["faces"])) for line in lines] == [("a.png", 3), ("none.png", 0)]
    assert lines[0]["faces"] == service.post(tiny_png, annotated="false").json()["faces"]
    rows = list(csv.DictReader(io.StringIO(tables["results.csv"].decode())))
    assert [(row["file"], row["face"]) for row in rows] == [
        ("a.png", "1"),
        ("a.png", "2"),
        ("a.png", "3"),
        ("none.png", "0"),
    ]


def test_failed_files_are_listed_with_the_reason_and_the_rest_continue(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), ("b.gif", GIF), ("c.png", b""), ("d.png", tiny_png))

    end = finished(service, batch_id)

    assert [file["state"] for file in end["files"]] == ["done", "failed", "failed", "done"]
    assert [file.get("code") for file in end["files"]] == [None, "unsupported_type", "empty_image", None]
    assert (end["done"], end["failed"]) == (2, 2)
    files = result(service, batch_id)
    assert sorted(files) == ["a.png", "d.png", "failures.csv"]
    assert "b.gif,unsupported_type" in files["failures.csv"].decode()


def test_a_photo_over_the_size_limit_fails_alone(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    settings = {"VISAGE_MAX_BODY_BYTES": str(2**16), "VISAGE_BATCH_JOBS": "1", "WEB_CONCURRENCY": "1"}

    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        batch_id = submit(service, ("large.png", bytes(2**16 + 1)), ("small.png", encode(draw(96, 96), "PNG")))
        files = finished(service, batch_id)["files"]

    assert [file.get("code") for file in files] == ["image_too_large", None]


def test_names_in_the_result_are_safe_to_unpack_and_unique(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("../../etc/passwd", tiny_png), ("a.png", tiny_png), ("A.png", tiny_png))

    finished(service, batch_id)

    assert sorted(result(service, batch_id)) == ["A (2).png", "a.png", "etc/passwd"]


# Rejected batches.


@pytest.mark.parametrize(
    "query", [{"task": "enlarge"}, {"method": "smear"}, {"mask_scale": "9"}, {"keep": "[[1,2,3,4]]"}]
)
@pytest.mark.parametrize("place", ["query", "form"])
def test_an_invalid_parameter_is_named_and_nothing_is_stored(
    idle: FlaskClient, tmp_path: Path, tiny_png: bytes, query: dict[str, str], place: str
) -> None:
    data: dict[str, Any] = {"files": (io.BytesIO(tiny_png), "a.png")}

    if place == "query":
        response = idle.post("/batches", data=data, query_string=query)
    else:
        response = idle.post("/batches", data=data | query)

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_parameter")
    assert response.get_json()["error"].startswith(next(iter(query)))
    assert not list((tmp_path / "state").glob("batches/*"))


def test_a_batch_without_files_is_rejected(idle: FlaskClient) -> None:
    assert idle.post("/batches", data={"task": "predict"}).get_json()["code"] == "no_image"
    assert idle.post("/batches", data=b"", content_type="text/plain").get_json()["code"] == "no_image"
    assert idle.post("/batches", data=packed(), content_type="application/zip").get_json()["code"] == "no_image"


def test_an_empty_file_field_is_ignored(idle: FlaskClient, tiny_png: bytes) -> None:
    data = {"files": [(io.BytesIO(b""), ""), (io.BytesIO(tiny_png), "a.png")]}

    response = idle.post("/batches", data=data)

    assert response.get_json()["total"] == 1


@pytest.mark.parametrize("way", ["photos", "zip"])
def test_too_many_files_are_rejected(idle: FlaskClient, tmp_path: Path, way: str) -> None:
    files = [(f"{number}.png", b"x") for number in range(6)]

    if way == "photos":
        response = idle.post("/batches", data={"files": [(io.BytesIO(content), name) for name, content in files]})
    else:
        response = idle.post("/batches", data=packed(*files), content_type="application/zip")

    assert (response.status_code, response.get_json()["code"]) == (413, "archive_too_large")
    assert not list((tmp_path / "state").glob("batches/*"))


@pytest.mark.parametrize(
    "data", [{"files": (io.BytesIO(b"x"), "a" * 5000)}, dict.fromkeys(map(str, range(50)), "x")], ids=["name", "fields"]
)
def test_a_long_name_and_too_many_fields_have_an_error_of_their_own(idle: FlaskClient, data: dict[str, Any]) -> None:
    response = idle.post("/batches", data=data, content_type="multipart/form-data")

    assert (response.status_code, response.get_json()["code"]) == (413, "body_too_large")
    assert "too long a name" in response.get_json()["error"]


def test_too_many_fields_beside_files_are_rejected(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    client = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path)).test_client()
    few, many = ({f"field{number}": "x" for number in range(count)} for count in (31, 33))

    accepted = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | few)
    rejected = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | many)

    assert accepted.status_code == 202
    assert (rejected.status_code, rejected.get_json()["code"]) == (413, "body_too_large")


def test_the_limit_for_unpacked_bytes_applies_to_all_zips_together(tiny_pack: Path, tmp_path: Path) -> None:
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path, max_batch_bytes=2**20))
    archive = packed(("a.bmp", bytes(300_000)), compression=zipfile.ZIP_DEFLATED)

    response = app.test_client().post("/batches", data={"files": [(io.BytesIO(archive), "a.zip") for _ in range(4)]})

    assert (response.status_code, response.get_json()["code"]) == (413, "archive_too_large")


def test_an_invalid_zip_is_rejected(idle: FlaskClient, tiny_png: bytes) -> None:
    response = idle.post("/batches", data=tiny_png, content_type="application/zip")

    assert (response.status_code, response.get_json()["code"]) == (422, "bad_archive")


def test_a_truncated_form_is_rejected_and_nothing_is_stored(idle: FlaskClient, tmp_path: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nphoto'

    response = idle.post("/batches", data=body, content_type="multipart/form-data; boundary=x")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_request")
    assert not list((tmp_path / "state").glob("batches/*"))


@pytest.mark.parametrize("suffix", ["", "/events", "/result.zip"])
@pytest.mark.parametrize("batch_id", ["x", "a" * 24, "..%2F..%2Fetc", "a" * 24 + "%0a"])
def test_an_unknown_id_is_not_found(idle: FlaskClient, batch_id: str, suffix: str) -> None:
    response = idle.get(f"/batches/{batch_id}{suffix}")

    assert response.status_code == 404
    assert response.get_json()["code"] in {"batch_not_found", "not_found"}


def test_the_result_of_an_unfinished_batch_is_a_conflict(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    response = idle.get(f"/batches/{batch_id}/result.zip")

    assert (response.status_code, response.get_json()["code"]) == (409, "batch_not_done")


def test_files_false_omits_the_files(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    plain = idle.get(f"/batches/{batch_id}?files=false").get_json()

    assert (plain["state"], plain["total"]) == ("waiting", 1)
    assert "files" not in plain


def test_an_unusable_state_directory_disables_batches_but_not_photos(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    (tmp_path / "file").write_text("")
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "file" / "state"))

    batch = app.test_client().post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")})
    photo = app.test_client().post("/predict", data={"image": (io.BytesIO(tiny_png), "a.png")})

    assert (batch.status_code, batch.get_json()["code"]) == (503, "batches_unavailable")
    assert str(tmp_path) not in batch.text
    assert photo.status_code == 200


# Access.


def test_every_batch_route_requires_the_token(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path, api_token=TOKEN))
    client, known = app.test_client(), {"Authorization": f"Bearer {TOKEN}"}
    files = {"files": (io.BytesIO(tiny_png), "a.png")}
    batch_id = client.post("/batches", data=files, headers=known).get_json()["id"]
    path = f"/batches/{batch_id}"

    assert client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).status_code == 401
    assert [client.get(path + suffix).status_code for suffix in ("", "/events", "/result.zip")] == [401] * 3
    assert client.delete(path).status_code == 401
    assert client.get(path, headers=known).status_code == 200


def test_a_batch_without_the_token_is_rejected_before_its_body_arrives(tiny_pack: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_API_TOKEN=TOKEN) as service:
        response = start_batch(service, MOST_BYTES)

    assert response.startswith(b"HTTP/1.1 401 ")
    assert b"WWW-Authenticate: Bearer" in response


def test_ids_are_long_and_unique_and_not_in_the_log(service: Service, tiny_png: bytes) -> None:
    ids = {submit(service, ("a.png", tiny_png)) for _ in range(5)}

    assert {len(batch_id) for batch_id in ids} == {24}
    assert len(ids) == 5
    assert not [batch_id for batch_id in ids if batch_id in service.log.read_text()]


def test_a_deleted_batch_leaves_no_file(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, *[(f"{number}.png", tiny_png) for number in range(20)])

    response = requests.delete(f"{service.url}/batches/{batch_id}", timeout=60)

    assert response.status_code == 204
    assert requests.get(f"{service.url}/batches/{batch_id}", timeout=60).status_code == 404
    assert wait_for(lambda: not (state(service) / "batches" / batch_id).exists())


# Uploads.


def start_batch(service: Service, length: int, body: bytes = b"") -> bytes:
    """Send the head of a batch of `length` bytes and the start of its body, and return the response."""
    with connection(service) as client:
        client.sendall(head(length) + body)
        return client.recv(65536)


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


def readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def temporary_files(worker: int) -> int:
    """Count the unnamed files that a worker has open in its state directory."""
    count = 0
    for each in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += "log.state/" in str(each.readlink()) and str(each.readlink()).endswith("(deleted)")
    return count


# Watching.


@dataclass(frozen=True)
class Event:
    kind: str
    content: dict[str, Any]
    seconds: float


def watch(service: Service, batch_id: str) -> list[Event]:
    """Return the events of a batch until the service ends the stream, each with its time in seconds."""
    events = []
    with requests.get(f"{service.url}/batches/{batch_id}/events", stream=True, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        started, kind = time.monotonic(), ""
        for line in response.iter_lines(chunk_size=1, decode_unicode=True):
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                events.append(Event(kind, json.loads(value), time.monotonic() - started))
    return events


def test_progress_is_immediate_monotonic_and_exact_at_the_end(service: Service) -> None:
    photos = [(f"{number}.png", encode(draw(1200, 1200 + number), "PNG")) for number in range(20)]
    batch_id = submit(service, *photos, ("broken.gif", GIF))

    events = watch(service, batch_id)

    counts = [event.content["done"] + event.content["failed"] for event in events]
    # Sooner than the keep-alive comment after ten seconds.
    assert events[0].seconds < 8
    assert counts == sorted(counts)
    assert [event.kind for event in events] == ["progress"] * (len(events) - 1) + ["end"]
    last = events[-1].content
    assert (last["state"], last["total"], last["done"], last["failed"]) == ("done", 21, 20, 1)


def test_every_file_changes_the_progress(idle: FlaskClient, tmp_path: Path, tiny_png: bytes) -> None:
    files = [("a.png", tiny_png), ("broken.gif", GIF), ("b.png", tiny_png)]
    data = {"files": [(io.BytesIO(content), name) for name, content in files]}
    batch_id = idle.post("/batches", data=data).get_json()["id"]
    extensions = idle.application.extensions
    batches, engine = extensions["batches"].get(), extensions["engine"]
    owner = LeaseOwner(batches.states, tmp_path / "consumers")
    processor = Processor(batches, owner, lambda: engine)
    pieces = idle.get(f"/batches/{batch_id}/events", buffered=False).iter_encoded()
    assert b"retry: " in next(pieces)

    seen = [progress_in(next(pieces))]
    while seen[-1] != ("done", 2, 1):
        processor.process_next(batch_id)
        seen.append(progress_in(next(pieces)))

    owner.close()
    assert seen == [("waiting", 0, 0), ("running", 1, 0), ("running", 1, 1), ("running", 2, 1), ("done", 2, 1)]


def progress_in(event: bytes) -> tuple[str, int, int]:
    """Return the state and the numbers of files that are done and failed."""
    (line,) = [line for line in event.splitlines() if line.startswith(b"data: ")]
    content = json.loads(line.removeprefix(b"data: "))
    return content["state"], content["done"], content["failed"]


def test_a_client_that_has_received_the_end_is_told_not_to_reconnect(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png))
    finished(service, batch_id)
    url = f"{service.url}/batches/{batch_id}/events"

    seen = requests.get(url, timeout=60).text

    assert "id: end\n" in seen
    assert requests.get(url, headers={"Last-Event-ID": "end"}, timeout=60).status_code == 204


def test_the_deletion_of_a_batch_ends_its_events(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]
    watching = idle.get(f"/batches/{batch_id}/events", buffered=False)
    pieces = watching.iter_encoded()
    assert b"retry: " in next(pieces)
    assert b"event: progress" in next(pieces)

    idle.delete(f"/batches/{batch_id}")

    assert b"event: end" in next(pieces)
    assert list(pieces) == []


def test_too_many_watchers_do_not_block_photos_and_transfers(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with (
        serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service,
        ExitStack() as stack,
    ):
        batch_id = submit(service, ("a.png", tiny_png))
        url = f"{service.url}/batches/{batch_id}/events"
        watching = [stack.enter_context(requests.get(url, stream=True, timeout=60)) for _ in range(MAX_WATCHERS)]

        one_too_many = watch(service, batch_id)
        photo = service.post(tiny_png)
        another = submit(service, ("a.png", tiny_png))
        fetched = requests.get(f"{service.url}/batches/{another}/result.zip", timeout=60)
        requests.delete(f"{service.url}/batches/{batch_id}", timeout=60)

        assert [event.kind for event in one_too_many] == ["progress"]
        assert photo.status_code == 200
        # Transfers have a limit of their own.
        assert fetched.json()["code"] == "batch_not_done"
        assert ["event: end" in each.text for each in watching] == [True] * MAX_WATCHERS


def test_watchers_do_not_delay_a_stop(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with (
        serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service,
        ExitStack() as stack,
    ):
        url = f"{service.url}/batches/{submit(service, ('a.png', tiny_png))}/events"
        watching = [stack.enter_context(requests.get(url, stream=True, timeout=60)) for _ in range(4)]
        service.process.send_signal(signal.SIGTERM)

        # Before gunicorn kills it, after 30 seconds.
        assert service.process.wait(25) == 0
        assert [("event: progress" in each.text, "event: end" in each.text) for each in watching] == [(True, False)] * 4


# The batch worker.


@pytest.mark.parametrize("fault", ["killed", "reloaded"])
def test_a_batch_continues_when_its_worker_is_replaced(tiny_pack: Path, tmp_path: Path, fault: str) -> None:
    photos = [(f"{number}.png", encode(draw(300, 300 + number), "PNG")) for number in range(40)]
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))
        batch_id = submit(service, *photos)
        assert wait_for(lambda: status(service, batch_id)["done"] > 2)
        victim = consumer(service)
        if fault == "killed":
            os.kill(victim, signal.SIGKILL)
        else:
            service.process.send_signal(signal.SIGHUP)

        end = finished(service, batch_id)

        assert (end["done"], end["failed"]) == (40, 0)
        assert wait_for(lambda: complete(service, 2) and victim not in consumers(service))
        names = [json.loads(line)["file"] for line in service.log.read_text().splitlines() if '"batch_file"' in line]
        # No file was processed twice. The file in process when the worker was killed may have no log line.
        assert len(set(names)) == len(names) >= 39


def test_a_batch_continues_after_a_restart(tiny_pack: Path, tmp_path: Path) -> None:
    photos = [(f"{number}.png", encode(draw(300, 300 + number), "PNG")) for number in range(40)]
    settings = {"VISAGE_STATE_DIR": str(tmp_path / "state"), "VISAGE_BATCH_JOBS": "1", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "first.log", tiny_pack, **settings) as service:
        batch_id = submit(service, *photos)
        assert wait_for(lambda: status(service, batch_id)["done"] > 2)

    with serving(tmp_path / "second.log", tiny_pack, **settings) as service:
        end = finished(service, batch_id)

    assert (end["done"], end["failed"]) == (40, 0)


def test_fewer_workers_do_not_include_the_batch_worker(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: len(workers(service)) == 1)

        assert has_consumer(service)
        assert finished(service, submit(service, ("a.png", tiny_png)))["done"] == 1


def test_the_last_serving_worker_remains(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: has_consumer(service))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: "Handling signal: ttou" in service.log.read_text())

        assert service.post(tiny_png).status_code == 200
        assert has_consumer(service)


def test_the_batch_worker_remains_even_as_the_oldest_of_fewer_workers(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))
        before = set(workers(service))
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        assert wait_for(lambda: len(set(workers(service)) - before) == 2 and has_consumer(service))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: len(workers(service)) == 1)

        assert has_consumer(service)
        assert finished(service, submit(service, ("a.png", tiny_png)))["done"] == 1


def test_the_batch_worker_waits_for_its_state_directory_without_restarting(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "consumers").write_text("in the way")
    settings = {"VISAGE_STATE_DIR": str(state), "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "1"}
    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        assert wait_for(lambda: '"batches_unavailable"' in service.log.read_text())

        time.sleep(1)

        assert service.log.read_text().count("Booting worker") == 2
        assert service.post(tiny_png).status_code == 200


def test_stored_files_are_private_even_in_an_existing_directory(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    state = tmp_path / "volume"
    state.mkdir(mode=0o755)
    settings = {"VISAGE_STATE_DIR": str(state), "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "1"}
    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        batch_id = submit(service, ("a.png", tiny_png))
        finished(service, batch_id)

        # A stopped process deletes no file between listing and inspection.
        os.kill(consumer(service), signal.SIGSTOP)
        kept = [path for path in state.rglob("*") if path.stat().st_mode & 0o077]
        os.kill(consumer(service), signal.SIGCONT)

    assert (state / "batches" / batch_id / "batch.json").exists()
    assert kept == []


def test_the_batch_worker_has_a_lower_priority(service: Service) -> None:
    own, others = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (consumer(service), workers(service)[0]))

    assert own == min(19, others + 10)


def test_the_batch_worker_accepts_no_connections(service: Service) -> None:
    listening = sockets(workers(service)[0])

    assert listening
    # It inherits the listening sockets and closes them.
    assert wait_for(lambda: not sockets(consumer(service)) & listening)


def sockets(process: int) -> set[Path]:
    """Return the sockets that a process has open, except those that it closes meanwhile."""
    found = set()
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(each.readlink())
    return {each for each in found if str(each).startswith("socket:")}


def test_a_result_deleted_during_the_download_is_recognizably_incomplete(service: Service) -> None:
    noise = np.random.default_rng(1)
    photos = [(f"{each}.bmp", encode(noise.integers(0, 256, (900, 900, 3), np.uint8), "BMP")) for each in range(12)]
    batch_id = submit(service, *photos)
    finished(service, batch_id)

    with connection(service) as client:
        client.sendall(f"GET /batches/{batch_id}/result.zip HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        response = client.recv(65536)
        requests.delete(f"{service.url}/batches/{batch_id}", timeout=60)
        with suppress(ConnectionError):
            while piece := client.recv(2**20):
                response = response[-1000:] + piece

    assert not response.endswith(b"0\r\n\r\n")
