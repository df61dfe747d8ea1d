"""Responses for batches match the OpenAPI document."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support.contract import BATCH_ROUTES, CONTRACT, check, check_schema, photo
from visage.anonymize.options import AnonymizeOptions
from visage.batches import Batches
from visage.batches.batch import Task
from visage.batches.quota import Quota
from visage.batches.results import Done
from visage.batches.store import output_key
from visage.errors import UnsupportedType
from visage.settings import Settings
from visage.web import create_app


@pytest.fixture
def batches(app: Flask) -> Batches:
    """The batches of the app, which no worker processes."""
    opened: Batches = app.extensions["batches"].get()
    return opened


@pytest.fixture
def waiting(client: FlaskClient, tiny_png: bytes) -> str:
    """The path of a batch that no worker processes."""
    return client.post("/batches", data=photo(tiny_png)).headers["Location"]


@pytest.fixture
def done(batches: Batches) -> str:
    """The path of a finished batch with a failed file."""
    with batches.create() as new:
        new.add("a.png", b"photo")
        new.add_failed("b.gif", UnsupportedType("This is no photo."))
        batch = new.submit(AnonymizeOptions())
    batches.store.write(output_key(batch.id, 1, 1), b"picture")
    batches.finish(batch, batch.rejected | {1: Done(faces=3, attempt=1)})
    return f"/batches/{batch.id}"


@pytest.fixture
def failed(batches: Batches, waiting: str) -> str:
    """The path of a batch that failed as a whole."""
    batches.fail(waiting.rpartition("/")[2], "its photos are gone.")
    return waiting


@pytest.mark.parametrize("task", [each.value for each in Task])
def test_an_accepted_batch_matches_its_schema(client: FlaskClient, tiny_png: bytes, task: str) -> None:
    response = client.post("/batches", data=photo(tiny_png, task=task))

    assert response.status_code == 202
    check(response, "/batches", "post")


@pytest.mark.parametrize("limit", [10**9, None])
def test_the_room_for_batches_matches_its_schema(
    client: FlaskClient, batches: Batches, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(batches, "quota", Quota(batches.queue, limit, lambda: None))

    response = client.get("/batches")

    assert response.status_code == 200
    check(response, "/batches", "get")


@pytest.mark.parametrize("state", ["waiting", "done", "failed"])
@pytest.mark.parametrize("query", ["", "?files=false"])
def test_the_status_of_a_batch_matches_its_schema(
    client: FlaskClient, request: pytest.FixtureRequest, state: str, query: str
) -> None:
    response = client.get(request.getfixturevalue(state) + query)

    assert response.status_code == 200
    assert response.get_json()["state"] == state
    check(response, "/batches/{batch_id}", "get")


def test_the_result_of_a_batch_matches_its_description(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/result.zip")

    assert response.status_code == 200
    check(response, "/batches/{batch_id}/result.zip", "get")


def test_the_events_of_a_deleted_batch_match_their_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "/events", buffered=False)
    pieces = response.iter_encoded()
    assert next(pieces).startswith(b"retry: ")
    progress = next(pieces)
    client.delete(waiting)

    (end,) = pieces

    assert response.status_code == 200
    check_event("progress", progress)
    check_event("end", end)


def test_the_events_of_a_finished_batch_match_their_schema(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/events")

    assert response.status_code == 200
    check(response, "/batches/{batch_id}/events", "get")
    check_event("end", response.data.partition(b"\n\n")[2])


def check_event(kind: str, event: bytes) -> None:
    lines = dict(line.split(": ", 1) for line in event.decode().splitlines() if line)
    assert lines["event"] == kind
    check_schema(json.loads(lines["data"]), CONTRACT["components"]["schemas"]["BatchEvent"])


def test_the_response_to_the_last_event_id_matches_its_description(client: FlaskClient, done: str) -> None:
    response = client.get(done + "/events", headers={"Last-Event-ID": "end"})

    assert response.status_code == 204
    check(response, "/batches/{batch_id}/events", "get")


def test_the_deletion_of_a_batch_matches_its_description(client: FlaskClient, waiting: str) -> None:
    response = client.delete(waiting)

    assert response.status_code == 204
    check(response, "/batches/{batch_id}", "delete")


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (400, {"data": {}}),
        (400, {"data": b"x", "content_type": "text/plain"}),
        (400, {"data": photo(b"x", task="enlarge")}),
        (400, {"data": b"--x", "content_type": "multipart/form-data; boundary=x"}),
        (413, {"data": photo(b"x", method="x" * 2**17)}),
        (415, {"data": photo(b"x"), "headers": {"Content-Encoding": "gzip"}}),
        (422, {"data": b"x", "content_type": "application/zip"}),
    ],
)
def test_an_error_of_a_batch_matches_its_schema(client: FlaskClient, status: int, arguments: dict[str, Any]) -> None:
    response = client.post("/batches", **arguments)

    assert response.status_code == status
    check(response, "/batches", "post")


@pytest.mark.parametrize(("path", "method"), [route for route in BATCH_ROUTES if route[0] != "/batches"])
def test_the_error_for_an_unknown_batch_matches_its_schema(client: FlaskClient, path: str, method: str) -> None:
    response = client.open(path.format(batch_id="a" * 24, number=1), method=method)

    assert response.status_code == 404
    check(response, path, method)


def test_the_error_for_an_invalid_parameter_files_matches_its_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "?files=some")

    assert response.status_code == 400
    check(response, "/batches/{batch_id}", "get")


def test_the_error_for_a_missing_result_matches_its_schema(client: FlaskClient, waiting: str) -> None:
    response = client.get(waiting + "/result.zip")

    assert response.status_code == 409
    check(response, "/batches/{batch_id}/result.zip", "get")


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_the_error_for_an_unavailable_store_matches_its_schema(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes, path: str, method: str
) -> None:
    (tmp_path / "state").write_text("")
    client = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state"), warm=False).test_client()

    response = client.open(path.format(batch_id="a" * 24, number=1), method=method, data=photo(tiny_png))

    assert response.status_code == 503
    check(response, path, method)


@pytest.mark.parametrize(("path", "method"), BATCH_ROUTES)
def test_the_error_for_a_missing_token_matches_its_schema(
    tiny_pack: Path, tmp_path: Path, path: str, method: str
) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, api_token="not-a-secret")

    response = (
        create_app(settings, warm=False).test_client().open(path.format(batch_id="a" * 24, number=1), method=method)
    )

    assert response.status_code == 401
    check(response, path, method)
