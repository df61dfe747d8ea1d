"""`faces.json` in a form or in a ZIP: faces to keep and boxes to cover in each photo of a batch."""

import io
import json
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from tests.support.batch_client import finished, form, packed, result, submit
from tests.support.service import Service

FACE, MISSED = [240, 176, 336, 272], [10, 20, 60, 90]


def faces(content: Any, name: str = "faces.json") -> tuple[str, bytes]:
    return name, json.dumps(content).encode()


def covered(service: Service, photo: bytes, **query: Any) -> bytes:
    fields = {name: json.dumps(value) for name, value in query.items()}
    return service.post(photo, "/anonymize", **fields).content


def test_a_file_in_the_form_says_what_to_keep_and_to_cover_in_each_photo(service: Service, tiny_png: bytes) -> None:
    chosen = faces({"b.png": {"keep": [FACE]}, "c.png": {"cover": [MISSED]}})

    batch_id = submit(service, chosen, *((name, tiny_png) for name in ("a.png", "b.png", "c.png")))

    status = finished(service, batch_id)
    assert [file["name"] for file in status["files"]] == ["a.png", "b.png", "c.png"]
    assert [file.get("cover") for file in status["files"]] == [None, None, 1]
    assert result(service, batch_id) == {
        "a.png": covered(service, tiny_png),
        "b.png": covered(service, tiny_png, keep=[FACE]),
        "c.png": covered(service, tiny_png, cover=[MISSED]),
    }


def test_a_file_in_a_zip_concerns_the_photos_of_that_zip(service: Service, tiny_png: bytes) -> None:
    zips = [
        ("one.zip", packed(("a.png", tiny_png))),
        ("two.zip", packed(("a.png", tiny_png), faces({"a.png": {"cover": [MISSED]}}))),
    ]

    batch_id = submit(service, *zips)

    assert [(file["name"], file.get("cover")) for file in finished(service, batch_id)["files"]] == [
        ("a.png", None),
        ("a (2).png", 1),
    ]


def test_names_are_relative_to_the_folder_of_the_file(service: Service, tiny_png: bytes) -> None:
    archive = packed(("rome/a.png", tiny_png), faces({"a.png": {"cover": [MISSED]}}, "rome/faces.json"))

    batch_id = submit(service, ("holiday.zip", archive))

    assert [file.get("cover") for file in finished(service, batch_id)["files"]] == [1]


def test_a_box_outside_its_photo_fails_that_photo_alone(service: Service, tiny_png: bytes) -> None:
    chosen = faces({"a.png": {"cover": [[900, 0, 950, 20]]}})

    batch_id = submit(service, chosen, ("a.png", tiny_png), ("b.png", tiny_png))

    first, second = finished(service, batch_id)["files"]
    assert (first["code"], second["state"]) == ("bad_parameter", "done")
    assert "its box 1, [900, 0, 950, 20], has no pixel of the 384 x 384" in first["error"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"c.png": {}}, "faces.json: 'c.png' stands for no file of the batch; give each photo its name."),
        ({"a.png": []}, 'faces.json, \'a.png\': send an object with "keep", "cover" or both'),
        ({"a.png": {"cover": [[1, 2, 3, 4], 5]}}, "faces.json, 'a.png': cover is wrong; its box 2, 5, must be"),
        ([1], 'faces.json must be an object such as {"photo.jpg": {"cover": [[10, 20, 60, 80]]}}.'),
    ],
)
def test_the_error_names_the_photo_and_the_box(idle: FlaskClient, tiny_png: bytes, content: Any, error: str) -> None:
    name, plain = faces(content)

    response = idle.post("/batches", data={"files": [(io.BytesIO(tiny_png), "a.png"), (io.BytesIO(plain), name)]})

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_parameter")
    assert response.get_json()["error"].startswith(error)


def test_all_files_of_a_batch_share_the_limit_for_boxes(idle: FlaskClient) -> None:
    # Half of the 400,000 values that all may have, and a few more.
    boxes = [[0, 0, 1, 1]] * 4000
    many = {f"{number}.png": {"keep": boxes, "cover": boxes} for number in range(5)}
    archive = packed(faces(many, "rome/faces.json"), faces(many, "oslo/faces.json"))

    response = idle.post("/batches", data=archive, content_type="application/zip")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_parameter")
    assert response.get_json()["error"] == "faces.json has too many boxes for one batch; send several batches."


def test_all_files_of_a_batch_share_the_limit_for_bytes(idle: FlaskClient) -> None:
    long = [faces({"a" * 1_500_000: {}}, f"{folder}/faces.json") for folder in ("rome", "oslo", "bern")]

    response = idle.post("/batches", data=packed(*long), content_type="application/zip")

    assert response.get_json()["error"] == "faces.json has too many boxes for one batch; send several batches."


def test_names_of_more_photos_than_a_batch_may_have_are_rejected(idle: FlaskClient) -> None:
    names: dict[str, Any] = {"a.png": {}, "b.png": {}, "c.png": {}}
    archive = packed(faces(names, "rome/faces.json"), faces(names, "oslo/faces.json"))

    response = idle.post("/batches", data=archive, content_type="application/zip")

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_parameter")
    assert response.get_json()["error"].startswith("faces.json names more than the 5 photos")


def test_a_name_that_several_photos_have_is_rejected(service: Service, tiny_png: bytes) -> None:
    archive = packed(("a.png", tiny_png))
    files = form(("one.zip", archive), ("two.zip", archive), faces({"a.png": {"cover": [MISSED]}}))

    response = requests.post(f"{service.url}/batches", files=files, timeout=60).json()

    assert response["error"] == "faces.json: 'a.png' stands for 2 files of the batch; give each photo its name."


def test_boxes_for_a_task_that_hides_no_faces_are_rejected(idle: FlaskClient, tiny_png: bytes) -> None:
    name, plain = faces({"a.png": {"cover": [MISSED]}})
    files = [(io.BytesIO(tiny_png), "a.png"), (io.BytesIO(plain), name)]

    response = idle.post("/batches?task=predict", data={"files": files})

    assert response.get_json()["error"] == "faces.json applies to the task anonymize only; leave it out."
