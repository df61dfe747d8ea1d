"""Clients can watch the progress of a batch, without blocking others or a stop of the service."""

import io
import json
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from flask.testing import FlaskClient

from tests.support.batch_client import finished, submit
from tests.support.pictures import GIF, encode
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw
from visage.batches.processing import Processor
from visage.batches.state_machine import LeaseOwner
from visage.settings import MAX_WATCHERS


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
