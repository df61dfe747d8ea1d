"""The result of one file of a batch: fetched, as a small copy, and replaced by a corrected one."""

import io
import json

import pytest
import requests
from flask.testing import FlaskClient
from PIL import Image

from tests.support.batch_client import finished, result, submit
from tests.support.pictures import GIF
from tests.support.service import Service

FACE, MISSED = [240, 176, 336, 272], [10, 20, 60, 90]


@pytest.fixture
def batch(service: Service, tiny_png: bytes) -> str:
    """The URL of a finished batch: a photo, a file that failed, and the same photo."""
    batch_id = submit(service, ("a.png", tiny_png), ("b.gif", GIF), ("c.png", tiny_png))
    finished(service, batch_id)
    return f"{service.url}/batches/{batch_id}"


def correct(url: str, photo: bytes, **boxes: object) -> requests.Response:
    fields = {name: json.dumps(value) for name, value in boxes.items()}
    return requests.put(url, files={"image": ("photo.png", photo)}, data=fields, timeout=60)


def test_the_result_of_a_file_is_its_picture(service: Service, batch: str, tiny_png: bytes) -> None:
    response = requests.get(f"{batch}/files/3", timeout=60)

    assert response.headers["Content-Type"] == "image/png"
    assert response.content == service.post(tiny_png, "/anonymize").content


def test_a_small_copy_has_the_size_that_is_asked_for(batch: str) -> None:
    response = requests.get(f"{batch}/files/1?size=96", timeout=60)

    assert response.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(response.content)).size == (96, 96)


def test_the_result_of_a_file_may_be_an_analysis(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), task="predict")
    finished(service, batch_id)

    assert len(requests.get(f"{service.url}/batches/{batch_id}/files/1", timeout=60).json()["faces"]) == 3


@pytest.mark.parametrize("number", ["0", "2", "4"])
@pytest.mark.parametrize("method", ["get", "put"])
def test_a_file_without_a_result_is_not_found(batch: str, tiny_png: bytes, number: str, method: str) -> None:
    response = getattr(requests, method)(f"{batch}/files/{number}", files={"image": tiny_png}, timeout=60)

    assert (response.status_code, response.json()["code"]) == (404, "file_not_found")


def test_a_corrected_picture_replaces_the_old_one(service: Service, batch: str, tiny_png: bytes) -> None:
    response = correct(f"{batch}/files/3", tiny_png, keep=[FACE], cover=[MISSED])

    expected = service.post(tiny_png, "/anonymize", keep=json.dumps([FACE]), cover=json.dumps([MISSED])).content
    status = requests.get(batch, timeout=60).json()["files"]
    assert response.json() == status[2]
    assert (status[2]["cover"], status[0].get("cover")) == (1, None)
    files = result(service, batch.rpartition("/")[2])
    assert files["c.png"] == expected
    assert files["a.png"] == service.post(tiny_png, "/anonymize").content


def test_a_picture_can_be_corrected_again(service: Service, batch: str, tiny_png: bytes) -> None:
    correct(f"{batch}/files/3", tiny_png, cover=[MISSED])

    again = correct(f"{batch}/files/3", tiny_png, cover=[FACE], detect=False).json()

    assert (again["faces"], again["cover"]) == (0, 1)
    assert requests.get(f"{batch}/files/3", timeout=60).content == result(service, batch.rpartition("/")[2])["c.png"]


def test_a_wrong_photo_leaves_the_result_as_it_was(batch: str) -> None:
    before = requests.get(f"{batch}/files/1", timeout=60).content

    response = correct(f"{batch}/files/1", GIF)

    assert response.status_code == 415
    assert requests.get(f"{batch}/files/1", timeout=60).content == before


def test_a_deleted_batch_has_no_corrected_files(batch: str, tiny_png: bytes) -> None:
    correct(f"{batch}/files/1", tiny_png, cover=[MISSED])
    requests.delete(batch, timeout=60)

    assert requests.get(f"{batch}/files/1", timeout=60).json()["code"] == "batch_not_found"
    assert correct(f"{batch}/files/1", tiny_png).json()["code"] == "batch_not_found"


def test_only_results_of_anonymize_can_be_corrected(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), task="predict")
    finished(service, batch_id)

    response = correct(f"{service.url}/batches/{batch_id}/files/1", tiny_png)

    assert (response.status_code, response.json()["code"]) == (404, "file_not_found")


@pytest.mark.parametrize("method", ["get", "put"])
def test_a_file_of_an_unfinished_batch_is_a_conflict(idle: FlaskClient, tiny_png: bytes, method: str) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    response = getattr(idle, method)(f"/batches/{batch_id}/files/1", data={"image": (io.BytesIO(tiny_png), "a.png")})

    assert (response.status_code, response.get_json()["code"]) == (409, "batch_not_done")


def test_the_quota_counts_a_corrected_picture(service: Service, batch: str, tiny_png: bytes) -> None:
    def reserved() -> int:
        return int(requests.get(f"{service.url}/batches", timeout=60).json()["reserved_bytes"])

    def size() -> int:
        return len(requests.get(f"{batch}/files/1", timeout=60).content)

    others = reserved() - size()

    correct(f"{batch}/files/1", tiny_png, detect=False)
    original = size()
    assert reserved() - others == original
    correct(f"{batch}/files/1", tiny_png, cover=[FACE])

    assert size() != original
    assert reserved() - others == size()
