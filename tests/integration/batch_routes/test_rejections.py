"""Invalid batches are rejected with the right error, and nothing of them is stored."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.batch_client import packed
from visage.settings import Settings
from visage.web import create_app


@pytest.mark.parametrize(
    "query",
    [
        {"task": "enlarge"},
        {"method": "smear"},
        {"mask_scale": "9"},
        {"keep": "[[1,2,3,4]]"},
        {"cover": "[[1,2,3,4]]"},
        {"detect": "false"},
    ],
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


@pytest.mark.parametrize(
    ("task", "parameters", "error"),
    [
        ("", {"scale": "2"}, "scale applies to task=enhance only, and this batch has task=anonymize; "),
        (
            "anonymize",
            {"max_faces": "3"},
            "max_faces applies to task=predict only, and this batch has task=anonymize; ",
        ),
        ("anonymize", {"max_faces": "abc"}, "max_faces "),
        ("predict", {"method": "bogus"}, "method "),
        ("predict", {"scale": "2"}, "scale applies to task=enhance only, and this batch has task=predict; "),
        ("enhance", {"detail": "high"}, "detail applies to task=anonymize or task=predict only, and this batch has "),
    ],
)
@pytest.mark.parametrize("place", ["query", "form"])
@pytest.mark.parametrize("place_of_task", ["query", "form"])
def test_a_parameter_of_another_task_is_refused(
    idle: FlaskClient,
    tmp_path: Path,
    tiny_png: bytes,
    task: str,
    parameters: dict[str, str],
    error: str,
    place: str,
    place_of_task: str,
) -> None:
    sent: dict[str, dict[str, Any]] = {"query": {}, "form": {"files": (io.BytesIO(tiny_png), "a.png")}}
    sent[place] |= parameters
    if task:
        sent[place_of_task]["task"] = task

    response = idle.post("/batches", query_string=sent["query"], data=sent["form"])

    assert (response.status_code, response.get_json()["code"]) == (400, "bad_parameter")
    assert response.get_json()["error"].startswith(error)
    assert not list((tmp_path / "state").glob("batches/*"))


def test_the_error_for_a_parameter_of_another_task_says_what_to_do(idle: FlaskClient) -> None:
    response = idle.post("/batches?task=predict&method=solid")

    assert response.get_json()["error"] == (
        "method applies to task=anonymize only, and this batch has task=predict; leave out method, or send "
        "task=anonymize."
    )


@pytest.mark.parametrize("query", [{"scale": "2"}, {"max_faces": "3"}])
def test_the_task_of_a_parameter_in_the_query_may_be_in_the_form(
    idle: FlaskClient, tiny_png: bytes, query: dict[str, str]
) -> None:
    task = "enhance" if "scale" in query else "predict"
    data: dict[str, Any] = {"files": (io.BytesIO(tiny_png), "a.png"), "task": task}

    response = idle.post("/batches", query_string=query, data=data)

    assert (response.status_code, response.get_json()["task"]) == (202, task)


def test_an_invalid_parameter_in_the_query_is_refused_before_files_arrive(idle: FlaskClient) -> None:
    response = idle.post("/batches?max_faces=abc", data=b"no ZIP", content_type="application/zip")

    assert response.get_json()["error"] == "max_faces is 'abc'; it must be a whole number from 1 to 1000."


def test_a_batch_without_files_is_rejected(idle: FlaskClient) -> None:
    assert idle.post("/batches", data={"task": "predict"}).get_json()["code"] == "no_image"
    assert idle.post("/batches", data=b"", content_type="text/plain").get_json()["code"] == "no_image"
    assert idle.post("/batches", data=packed(), content_type="application/zip").get_json()["code"] == "no_image"


@pytest.mark.parametrize("way", ["in a form", "as the body"])
@pytest.mark.parametrize(
    "files", [(), (("__MACOSX/._a.png", b"x"), (".DS_Store", b"x"))], ids=["empty", "only files of the system"]
)
def test_a_zip_without_photos_is_told_so(idle: FlaskClient, files: tuple[tuple[str, bytes], ...], way: str) -> None:
    archive = packed(*files)

    if way == "in a form":
        response = idle.post("/batches", data={"files": (io.BytesIO(archive), "a.zip")})
    else:
        response = idle.post("/batches", data=archive, content_type="application/zip")

    assert (response.status_code, response.get_json()["code"]) == (400, "no_image")
    assert response.get_json()["error"] == (
        "The ZIP has no photos: folders, faces.json and files of the system do not count. Send a ZIP with photos."
    )


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
    few, many = ({"method": count * ["blur"]} for count in (31, 33))

    accepted = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | few)
    rejected = client.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")} | many)

    assert accepted.get_json()["error"].startswith("method occurs 31 times")
    assert (rejected.status_code, rejected.get_json()["code"]) == (413, "body_too_large")


def test_the_limit_for_unpacked_bytes_applies_to_all_zips_together(tiny_pack: Path, tmp_path: Path) -> None:
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path, max_batch_bytes=2**20))
    archive = packed(("a.bmp", bytes(300_000)), compression=zipfile.ZIP_DEFLATED)

    response = app.test_client().post("/batches", data={"files": [(io.BytesIO(archive), "a.zip") for _ in range(4)]})

    assert (response.status_code, response.get_json()["code"]) == (413, "archive_too_large")


def test_a_batch_beyond_the_quota_is_rejected_with_the_room_that_is_left(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, batch_storage_bytes=1_000_000)
    client = create_app(settings).test_client()
    bitmap = packed(("a.bmp", bytes(90_000)), compression=zipfile.ZIP_DEFLATED)

    accepted = client.post("/batches?task=enhance", data=bitmap, content_type="application/zip")
    rejected = client.post("/batches?task=enhance", data=bitmap, content_type="application/zip")

    assert accepted.status_code == 202
    assert (rejected.status_code, rejected.get_json()["code"]) == (507, "storage_full")
    assert "may need 1 MB, and the storage for batches has 0 MB left" in rejected.get_json()["error"]
    assert client.get("/batches").get_json() == {
        "reserved_bytes": 904_096,
        "max_bytes": 1_000_000,
        "left_bytes": 95_904,
    }


def test_a_task_in_the_form_reserves_as_much_as_in_the_query(tiny_pack: Path, tmp_path: Path) -> None:
    settings = Settings(pack=str(tiny_pack), state_dir=tmp_path, batch_storage_bytes=500_000)
    client = create_app(settings).test_client()

    # Werkzeug's client sends the files behind the fields; here the field comes last.
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.bmp"\r\n\r\n' + bytes(90_000) + b"\r\n"
        b'--x\r\nContent-Disposition: form-data; name="task"\r\n\r\nenhance\r\n--x--\r\n'
    )
    response = client.post("/batches", data=body, content_type="multipart/form-data; boundary=x")

    assert (response.status_code, response.get_json()["code"]) == (507, "storage_full")
    assert client.get("/batches").get_json()["reserved_bytes"] == 0


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
