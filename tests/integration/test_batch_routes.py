"""Batches over HTTP: a real gunicorn takes them in, and its worker on batches works on them."""

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
from tests.support.processes import complete, consumers, forget_peak, peak, resident, workers
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from tests.support.waiting import wait_for
from visage.batches.processing import Processor
from visage.batches.state_machine import LeaseOwner
from visage.settings import MAX_TRANSFERS, MAX_WATCHERS, Settings
from visage.web import create_app

# What the clients of most tests have for each piece of what they send, and those that are too slow.
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
def hurried(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that waits for clients as long as tests can wait for it."""
    log = tmp_path_factory.mktemp("hurried_batches") / "log"
    settings = {"VISAGE_BATCH_JOBS": "0", "VISAGE_BODY_SECONDS": str(BODY_SECONDS)}
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        yield service


@pytest.fixture
def idle(tiny_pack: Path, tmp_path: Path) -> FlaskClient:
    """An app whose batches nobody works on."""
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state", max_batch_files=5))
    return app.test_client()


def state(service: Service) -> Path:
    return Path(f"{service.log}.state")


def covered(service: Service, photo: bytes, **query: str) -> bytes:
    return service.post(photo, "/anonymize", **query).content


def test_photos_of_a_form_come_back_covered_in_a_zip(service: Service, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    batch_id = submit(service, ("one.png", tiny_png), ("two.jpg", tiny_jpeg))

    end = finished(service, batch_id)
    assert (end["task"], end["total"], end["done"], end["failed"]) == ("anonymize", 2, 2, 0)
    assert end["files"] == [
        {"name": name, "state": "done", "faces": int(service.post(photo, "/anonymize").headers["X-Face-Count"])}
        for name, photo in (("one.png", tiny_png), ("two.jpg", tiny_jpeg))
    ]
    assert result(service, batch_id) == {
        "one.png": covered(service, tiny_png),
        "two.jpg": covered(service, tiny_jpeg),
    }


def test_what_is_asked_for_counts_in_the_query_and_in_the_form_wherever_it_stands(
    service: Service, tiny_png: bytes
) -> None:
    boundary = b"--x\r\nContent-Disposition: form-data; name="
    body = boundary + b'"files"; filename="a.png"\r\n\r\n' + tiny_png + b"\r\n"
    body += boundary + b'"method"\r\n\r\nsolid\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}

    answer = requests.post(service.url + "/batches?shape=box", data=body, headers=headers, timeout=60)
    batch_id = answer.json()["id"]

    assert answer.headers["Location"] == f"/batches/{batch_id}"
    finished(service, batch_id)
    assert result(service, batch_id) == {"a.png": covered(service, tiny_png, method="solid", shape="box")}


@pytest.mark.parametrize("way", ["in a form", "as the body", "in chunks"])
def test_a_zip_is_unpacked(service: Service, tiny_png: bytes, way: str) -> None:
    archive = packed(("holiday/a.png", tiny_png), ("holiday/b.png", tiny_png), ("__MACOSX/._a.png", b"x"))
    url, zipped = service.url + "/batches", {"Content-Type": "application/zip"}

    if way == "in a form":
        answer = requests.post(url, files=form(("holiday.zip", archive), ("c.png", tiny_png)), timeout=60)
    else:
        body = archive if way == "as the body" else iter([archive])
        answer = requests.post(url, data=body, headers=zipped, timeout=60)

    assert answer.status_code == 202, answer.text
    names = [file["name"] for file in finished(service, answer.json()["id"])["files"]]
    assert names == ["holiday/a.png", "holiday/b.png"] + (["c.png"] if way == "in a form" else [])


def test_attributes_come_back_as_tables(service: Service, tiny_png: bytes) -> None:
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


def test_a_broken_file_is_listed_with_its_reason_and_stops_nobody(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), ("b.gif", GIF), ("c.png", b""), ("d.png", tiny_png))

    end = finished(service, batch_id)

    assert [file["state"] for file in end["files"]] == ["done", "failed", "failed", "done"]
    assert [file.get("code") for file in end["files"]] == [None, "unsupported_type", "empty_image", None]
    assert (end["done"], end["failed"]) == (2, 2)
    files = result(service, batch_id)
    assert sorted(files) == ["a.png", "d.png", "failures.csv"]
    assert "b.gif,unsupported_type" in files["failures.csv"].decode()


def test_a_photo_larger_than_photos_may_be_fails_alone(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    settings = {"VISAGE_MAX_BODY_BYTES": str(2**16), "VISAGE_BATCH_JOBS": "1", "WEB_CONCURRENCY": "1"}

    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        batch_id = submit(service, ("large.png", bytes(2**16 + 1)), ("small.png", encode(draw(96, 96), "PNG")))
        files = finished(service, batch_id)["files"]

    assert [file.get("code") for file in files] == ["image_too_large", None]


def test_names_are_safe_to_unpack_and_each_is_there_once(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("../../etc/passwd", tiny_png), ("a.png", tiny_png), ("A.png", tiny_png))

    finished(service, batch_id)

    assert sorted(result(service, batch_id)) == ["A (2).png", "a.png", "etc/passwd"]


# What is refused.


@pytest.mark.parametrize(
    "query", [{"task": "enlarge"}, {"method": "smear"}, {"mask_scale": "9"}, {"keep": "[[1,2,3,4]]"}]
)
@pytest.mark.parametrize("place", ["query", "form"])
def test_a_parameter_that_does_not_fit_is_named_and_nothing_is_kept(
    idle: FlaskClient, tmp_path: Path, tiny_png: bytes, query: dict[str, str], place: str
) -> None:
    data: dict[str, Any] = {"files": (io.BytesIO(tiny_png), "a.png")}

    if place == "query":
        answer = idle.post("/batches", data=data, query_string=query)
    else:
        answer = idle.post("/batches", data=data | query)

    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_parameter")
    assert answer.get_json()["error"].startswith(next(iter(query)))
    assert not list((tmp_path / "state").glob("batches/*"))


def test_a_batch_without_files_is_refused(idle: FlaskClient) -> None:
    assert idle.post("/batches", data={"task": "predict"}).get_json()["code"] == "no_image"
    assert idle.post("/batches", data=b"", content_type="text/plain").get_json()["code"] == "no_image"
    assert idle.post("/batches", data=packed(), content_type="application/zip").get_json()["code"] == "no_image"


def test_a_field_for_files_that_was_left_empty_is_none(idle: FlaskClient, tiny_png: bytes) -> None:
    data = {"files": [(io.BytesIO(b""), ""), (io.BytesIO(tiny_png), "a.png")]}

    answer = idle.post("/batches", data=data)

    assert answer.get_json()["total"] == 1


@pytest.mark.parametrize("way", ["photos", "zip"])
def test_too_many_files_are_refused(idle: FlaskClient, tmp_path: Path, way: str) -> None:
    files = [(f"{number}.png", b"x") for number in range(6)]

    if way == "photos":
        answer = idle.post("/batches", data={"files": [(io.BytesIO(content), name) for name, content in files]})
    else:
        answer = idle.post("/batches", data=packed(*files), content_type="application/zip")

    assert (answer.status_code, answer.get_json()["code"]) == (413, "archive_too_large")
    assert not list((tmp_path / "state").glob("batches/*"))


@pytest.mark.parametrize(
    "data", [{"files": (io.BytesIO(b"x"), "a" * 5000)}, dict.fromkeys(map(str, range(50)), "x")], ids=["name", "fields"]
)
def test_too_long_a_name_or_too_many_fields_are_not_taken_for_too_many_files(
    idle: FlaskClient, data: dict[str, Any]
) -> None:
    answer = idle.post("/batches", data=data, content_type="multipart/form-data")

    assert (answer.status_code, answer.get_json()["code"]) == (413, "body_too_large")
    assert "too long a name" in answer.get_json()["error"]


def test_too_many_fields_are_refused_as_they_come(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    client = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path)).test_client()
    few, many = ({f"field{number}": "x" for number in range(count)} for count in (31, 33))

    accepted = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | few)
    refused = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | many)

    assert accepted.status_code == 202
    assert (refused.status_code, refused.get_json()["code"]) == (413, "body_too_large")


def test_many_zips_together_unpack_to_no_more_than_one_may(tiny_pack: Path, tmp_path: Path) -> None:
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path, max_batch_bytes=2**20))
    archive = packed(("a.bmp", bytes(300_000)), compression=zipfile.ZIP_DEFLATED)

    answer = app.test_client().post("/batches", data={"files": [(io.BytesIO(archive), "a.zip") for _ in range(4)]})

    assert (answer.status_code, answer.get_json()["code"]) == (413, "archive_too_large")


def test_what_is_no_zip_says_so(idle: FlaskClient, tiny_png: bytes) -> None:
    answer = idle.post("/batches", data=tiny_png, content_type="application/zip")

    assert (answer.status_code, answer.get_json()["code"]) == (422, "bad_archive")


def test_a_form_that_is_cut_short_is_refused_and_nothing_is_kept(idle: FlaskClient, tmp_path: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nphoto'

    answer = idle.post("/batches", data=body, content_type="multipart/form-data; boundary=x")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")
    assert not list((tmp_path / "state").glob("batches/*"))


@pytest.mark.parametrize("suffix", ["", "/events", "/result.zip"])
@pytest.mark.parametrize("batch_id", ["x", "a" * 24, "..%2F..%2Fetc", "a" * 24 + "%0a"])
def test_an_id_that_is_none_is_not_found(idle: FlaskClient, batch_id: str, suffix: str) -> None:
    answer = idle.get(f"/batches/{batch_id}{suffix}")

    assert answer.status_code == 404
    assert answer.get_json()["code"] in {"batch_not_found", "not_found"}


def test_the_result_of_a_batch_that_is_not_done_is_told_to_be_asked_for_later(
    idle: FlaskClient, tiny_png: bytes
) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    answer = idle.get(f"/batches/{batch_id}/result.zip")

    assert (answer.status_code, answer.get_json()["code"]) == (409, "batch_not_done")


def test_the_files_of_a_batch_can_be_left_out(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    plain = idle.get(f"/batches/{batch_id}?files=false").get_json()

    assert (plain["state"], plain["total"]) == ("waiting", 1)
    assert "files" not in plain


def test_a_place_that_cannot_be_used_costs_batches_and_no_photo(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    (tmp_path / "file").write_text("")
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "file" / "state"))

    batch = app.test_client().post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")})
    photo = app.test_client().post("/predict", data={"image": (io.BytesIO(tiny_png), "a.png")})

    assert (batch.status_code, batch.get_json()["code"]) == (503, "batches_unavailable")
    assert str(tmp_path) not in batch.text
    assert photo.status_code == 200


# Who may see what.


def test_a_batch_wants_the_token_everywhere(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path, api_token=TOKEN))
    client, known = app.test_client(), {"Authorization": f"Bearer {TOKEN}"}
    files = {"files": (io.BytesIO(tiny_png), "a.png")}
    batch_id = client.post("/batches", data=files, headers=known).get_json()["id"]
    path = f"/batches/{batch_id}"

    assert client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).status_code == 401
    assert [client.get(path + suffix).status_code for suffix in ("", "/events", "/result.zip")] == [401] * 3
    assert client.delete(path).status_code == 401
    assert client.get(path, headers=known).status_code == 200


def test_a_stranger_is_sent_away_before_the_batch_comes(tiny_pack: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_API_TOKEN=TOKEN) as service:
        answer = begin_batch(service, MOST_BYTES)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"WWW-Authenticate: Bearer" in answer


def test_ids_are_long_and_never_the_same_and_not_in_the_log(service: Service, tiny_png: bytes) -> None:
    ids = {submit(service, ("a.png", tiny_png)) for _ in range(5)}

    assert {len(batch_id) for batch_id in ids} == {24}
    assert len(ids) == 5
    assert not [batch_id for batch_id in ids if batch_id in service.log.read_text()]


def test_a_batch_that_is_deleted_leaves_nothing(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, *[(f"{number}.png", tiny_png) for number in range(20)])

    answer = requests.delete(f"{service.url}/batches/{batch_id}", timeout=60)

    assert answer.status_code == 204
    assert requests.get(f"{service.url}/batches/{batch_id}", timeout=60).status_code == 404
    assert wait_for(lambda: not (state(service) / "batches" / batch_id).exists())


# How a batch comes in.


def begin_batch(service: Service, length: int, body: bytes = b"") -> bytes:
    """What is answered to the head of a batch of `length` bytes with the beginning of its body."""
    with connection(service) as client:
        client.sendall(head(length) + body)
        return client.recv(65536)


def test_a_batch_that_is_too_large_is_refused_before_it_comes(service: Service) -> None:
    answer = begin_batch(service, MOST_BYTES + 1)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer


def test_a_large_batch_in_chunks_is_told_to_say_its_length(tiny_pack: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_MAX_BODY_BYTES="100000") as service:
        headers = {"Content-Type": "application/zip"}
        answer = requests.post(service.url + "/batches", data=iter([bytes(200_000)]), headers=headers, timeout=60)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "Content-Length" in answer.json()["error"]


def test_more_batches_than_can_be_taken_in_are_refused_before_they_come(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_TRANSFERS):
            client = stack.enter_context(connection(service))
            client.sendall(head(1_000_000) + bytes(10))
        assert wait_for(lambda: spools(workers(service)[0]) == MAX_TRANSFERS)

        answer = begin_batch(service, 1000)

    assert answer.startswith(b"HTTP/1.1 429 ")
    assert wait_for(lambda: spools(workers(service)[0]) == 0)


def test_a_large_batch_takes_no_memory(service: Service) -> None:
    (worker,) = workers(service)
    archive = packed(*[(f"{number}.bmp", bytes(2_000_000)) for number in range(30)])
    before = resident(worker)
    forget_peak(worker)

    answer = requests.post(
        service.url + "/batches", data=archive, headers={"Content-Type": "application/zip"}, timeout=60
    )

    assert answer.status_code == 202, answer.text
    assert len(archive) > 60_000_000
    assert peak(worker) - before < 25
    requests.delete(service.url + answer.headers["Location"], timeout=60)


def test_photos_are_answered_while_a_batch_comes(service: Service, tiny_png: bytes) -> None:
    with connection(service) as client:
        client.sendall(head(10_000_000) + bytes(5_000_000))

        assert service.post(tiny_png).status_code == 200


def test_a_batch_may_take_longer_than_a_photo_if_it_keeps_coming(hurried: Service) -> None:
    archive = packed(("a.bmp", encode(draw(200, 200), "BMP")))
    with connection(hurried) as client:
        begun = time.monotonic()
        client.sendall(head(len(archive)))
        for start in range(0, len(archive), 20_000):
            client.sendall(archive[start : start + 20_000])
            time.sleep(0.6)
        answer = client.recv(65536)

    assert time.monotonic() - begun > BODY_SECONDS
    assert answer.startswith(b"HTTP/1.1 202 ")


def test_a_batch_that_comes_too_slowly_is_given_up_and_leaves_nothing(hurried: Service) -> None:
    (worker,) = workers(hurried)
    with connection(hurried) as client:
        client.sendall(head(1_000_000))
        # All of it would take minutes.
        end = time.monotonic() + 60
        while time.monotonic() < end and not readable(client):
            client.sendall(bytes(200))
            time.sleep(0.1)
        answer = client.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"10,000 bytes a second" in answer
    assert wait_for(lambda: spools(worker) == 0)


def test_a_batch_that_is_broken_off_leaves_nothing(service: Service) -> None:
    (worker,) = workers(service)
    with connection(service) as client:
        client.sendall(head(1_000_000) + bytes(500_000))
        assert wait_for(lambda: spools(worker) == 1)

    assert wait_for(lambda: spools(worker) == 0)


def test_what_comes_behind_a_batch_is_the_next_request(service: Service, tiny_png: bytes) -> None:
    archive = packed(("a.png", tiny_png))
    with connection(service) as client:
        client.sendall(head(len(archive)) + archive + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: client.recv(65536), b""))

    assert answers.startswith(b"HTTP/1.1 202 ")
    assert answers.count(b"HTTP/1.1 200 ") == 1


def readable(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def spools(worker: int) -> int:
    """Files without a name that a worker has open in its state directory."""
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
    """The events of a batch up to where the service ends them, each with when it came."""
    events = []
    with requests.get(f"{service.url}/batches/{batch_id}/events", stream=True, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        begun, kind = time.monotonic(), ""
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                events.append(Event(kind, json.loads(value), time.monotonic() - begun))
    return events


def test_progress_is_told_at_once_never_goes_back_and_is_exact_at_the_end(service: Service) -> None:
    photos = [(f"{number}.png", encode(draw(1200, 1200 + number), "PNG")) for number in range(20)]
    batch_id = submit(service, *photos, ("broken.gif", GIF))

    events = watch(service, batch_id)

    counts = [event.content["done"] + event.content["failed"] for event in events]
    # Before the sign of life that is given every ten seconds.
    assert events[0].seconds < 8
    assert counts == sorted(counts)
    assert [event.kind for event in events] == ["progress"] * (len(events) - 1) + ["end"]
    last = events[-1].content
    assert (last["state"], last["total"], last["done"], last["failed"]) == ("done", 21, 20, 1)


def test_progress_is_told_after_every_file(idle: FlaskClient, tmp_path: Path, tiny_png: bytes) -> None:
    files = [("a.png", tiny_png), ("broken.gif", GIF), ("b.png", tiny_png)]
    data = {"files": [(io.BytesIO(content), name) for name, content in files]}
    batch_id = idle.post("/batches", data=data).get_json()["id"]
    extensions = idle.application.extensions
    batches, engine = extensions["batches"].get(), extensions["engine"]
    owner = LeaseOwner(batches.states, tmp_path / "consumers")
    processor = Processor(batches, owner, lambda: engine)
    pieces = idle.get(f"/batches/{batch_id}/events", buffered=False).iter_encoded()
    assert b"retry: " in next(pieces)

    told = [told_in(next(pieces))]
    while told[-1] != ("done", 2, 1):
        processor.process_next(batch_id)
        told.append(told_in(next(pieces)))

    owner.close()
    assert told == [("waiting", 0, 0), ("running", 1, 0), ("running", 1, 1), ("running", 2, 1), ("done", 2, 1)]


def told_in(event: bytes) -> tuple[str, int, int]:
    """State and numbers of files done and failed."""
    (line,) = [line for line in event.splitlines() if line.startswith(b"data: ")]
    content = json.loads(line.removeprefix(b"data: "))
    return content["state"], content["done"], content["failed"]


def test_who_has_seen_the_end_and_comes_again_is_told_to_stay_away(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png))
    finished(service, batch_id)
    url = f"{service.url}/batches/{batch_id}/events"

    seen = requests.get(url, timeout=60).text

    assert "id: end\n" in seen
    assert requests.get(url, headers={"Last-Event-ID": "end"}, timeout=60).status_code == 204


def test_watchers_of_a_batch_that_is_deleted_are_told(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]
    watching = idle.get(f"/batches/{batch_id}/events", buffered=False)
    pieces = watching.iter_encoded()
    assert b"retry: " in next(pieces)
    assert b"event: progress" in next(pieces)

    idle.delete(f"/batches/{batch_id}")

    assert b"event: end" in next(pieces)
    assert list(pieces) == []


def test_more_watchers_than_there_are_threads_for_cost_no_photo(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
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
        # In places of their own.
        assert fetched.json()["code"] == "batch_not_done"
        assert ["event: end" in each.text for each in watching] == [True] * MAX_WATCHERS


def test_watchers_do_not_keep_a_service_from_stopping(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with (
        serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service,
        ExitStack() as stack,
    ):
        url = f"{service.url}/batches/{submit(service, ('a.png', tiny_png))}/events"
        watching = [stack.enter_context(requests.get(url, stream=True, timeout=60)) for _ in range(4)]
        service.process.send_signal(signal.SIGTERM)

        # Before it would be made to end, after 30 seconds.
        assert service.process.wait(25) == 0
        assert [("event: progress" in each.text, "event: end" in each.text) for each in watching] == [(True, False)] * 4


# Who works.


@pytest.mark.parametrize("fault", ["killed", "reloaded"])
def test_a_batch_goes_on_when_its_worker_is_replaced(tiny_pack: Path, tmp_path: Path, fault: str) -> None:
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
        # None was worked on twice; what was in hand when its worker was killed may lack its line.
        assert len(set(names)) == len(names) >= 39


def test_a_batch_goes_on_when_the_service_is_started_again(tiny_pack: Path, tmp_path: Path) -> None:
    photos = [(f"{number}.png", encode(draw(300, 300 + number), "PNG")) for number in range(40)]
    settings = {"VISAGE_STATE_DIR": str(tmp_path / "state"), "VISAGE_BATCH_JOBS": "1", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "first.log", tiny_pack, **settings) as service:
        batch_id = submit(service, *photos)
        assert wait_for(lambda: status(service, batch_id)["done"] > 2)

    with serving(tmp_path / "second.log", tiny_pack, **settings) as service:
        end = finished(service, batch_id)

    assert (end["done"], end["failed"]) == (40, 0)


def test_a_worker_less_does_not_take_the_one_on_batches(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: complete(service, 2))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: len(workers(service)) == 1)

        assert has_consumer(service)
        assert finished(service, submit(service, ("a.png", tiny_png)))["done"] == 1


def test_the_last_worker_that_serves_stays(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1") as service:
        assert wait_for(lambda: has_consumer(service))

        service.process.send_signal(signal.SIGTTOU)
        assert wait_for(lambda: "Handling signal: ttou" in service.log.read_text())

        assert service.post(tiny_png).status_code == 200
        assert has_consumer(service)


def test_the_worker_on_batches_stays_when_it_is_the_oldest_and_one_is_to_be_less(
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


def test_a_place_that_the_worker_on_batches_cannot_use_has_it_wait_and_not_start_over_and_over(
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


def test_what_is_kept_is_for_the_user_alone_even_in_a_directory_that_was_there(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    state = tmp_path / "volume"
    state.mkdir(mode=0o755)
    settings = {"VISAGE_STATE_DIR": str(state), "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "1"}
    with serving(tmp_path / "log", tiny_pack, **settings) as service:
        batch_id = submit(service, ("a.png", tiny_png))
        finished(service, batch_id)

        # While it stands still, no file goes between the list and the look.
        os.kill(consumer(service), signal.SIGSTOP)
        kept = [path for path in state.rglob("*") if path.stat().st_mode & 0o077]
        os.kill(consumer(service), signal.SIGCONT)

    assert (state / "batches" / batch_id / "batch.json").exists()
    assert kept == []


def test_photos_of_batches_wait_for_those_that_somebody_waits_for(service: Service) -> None:
    own, others = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (consumer(service), workers(service)[0]))

    assert own == min(19, others + 10)


def test_a_worker_on_batches_takes_no_callers_from_the_others(service: Service) -> None:
    listening = sockets(workers(service)[0])

    assert listening
    # It begins with all that the others have.
    assert wait_for(lambda: not sockets(consumer(service)) & listening)


def sockets(process: int) -> set[Path]:
    """Those that a process has open, without what it closes while they are looked at."""
    found = set()
    for each in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(each.readlink())
    return {each for each in found if str(each).startswith("socket:")}


def test_a_batch_that_is_wiped_while_it_is_fetched_is_not_taken_for_whole(service: Service) -> None:
    noise = np.random.default_rng(1)
    photos = [(f"{each}.bmp", encode(noise.integers(0, 256, (900, 900, 3), np.uint8), "BMP")) for each in range(12)]
    batch_id = submit(service, *photos)
    finished(service, batch_id)

    with connection(service) as client:
        client.sendall(f"GET /batches/{batch_id}/result.zip HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = client.recv(65536)
        requests.delete(f"{service.url}/batches/{batch_id}", timeout=60)
        with suppress(ConnectionError):
            while piece := client.recv(2**20):
                answer = answer[-1000:] + piece

    assert not answer.endswith(b"0\r\n\r\n")
