"""Batches are private: they need the token or a secret ID, and a deleted one leaves no file."""

import io
import os
import signal
from pathlib import Path

import requests

from tests.integration.batch_routes.uploads import MOST_BYTES, start_batch
from tests.support.batch_client import consumer, finished, submit
from tests.support.service import Service, serving
from tests.support.waiting import wait_for
from visage.settings import Settings
from visage.web import create_app

TOKEN = "not-a-secret"


def state(service: Service) -> Path:
    return Path(f"{service.log}.state")


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
