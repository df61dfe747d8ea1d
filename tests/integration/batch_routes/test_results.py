"""Submitted photos and ZIPs are processed, and the result contains what the batch asked for."""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from tests.support.batch_client import connection, finished, form, packed, result, submit
from tests.support.pictures import GIF, encode
from tests.support.service import Service, serving
from tests.support.tiny_pack import draw


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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("holiday/a.png", "holiday/rome/b.png"), "holiday-anonymized.zip"),
        (("Zürich 2026.zip",), "Zürich 2026-anonymized.zip"),
        (("休日.zip",), "休日-anonymized.zip"),
        (("Łódź.zip",), "Łódź-anonymized.zip"),
        (("休日/a.png", "休日/b.png"), "休日-anonymized.zip"),
        (("👍/a.png",), "👍-anonymized.zip"),
        (("50%25 'off'; (*).zip",), "50%25 'off'; (_)-anonymized.zip"),
        (("a.png", "b.png"), "photos-anonymized.zip"),
        (("holiday/a.png", "party/b.png"), "photos-anonymized.zip"),
        (("holiday/a.png", "party.zip"), "photos-anonymized.zip"),
        (('C:\\con/"a.png',), "_con-anonymized.zip"),
    ],
)
def test_the_result_is_named_after_the_folder_or_zip_that_all_photos_came_from(
    service: Service, tiny_png: bytes, names: tuple[str, ...], expected: str
) -> None:
    files = [(name, packed(("x.png", tiny_png)) if name.endswith(".zip") else tiny_png) for name in names]
    batch_id = submit(service, *files)
    finished(service, batch_id)

    response = requests.get(f"{service.url}/batches/{batch_id}/result.zip", timeout=60)

    assert response.status_code == 200
    assert parse_options_header(response.headers["Content-Disposition"]) == ("attachment", {"filename": expected})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("holiday", "filename=holiday-anonymized.zip"),
        ("Zürich", "filename=Zurich-anonymized.zip; filename*=UTF-8''Z%C3%BCrich-anonymized.zip"),
        ("休日 (2)", "filename=\"_ (2)-anonymized.zip\"; filename*=UTF-8''%E4%BC%91%E6%97%A5%20%282%29-anonymized.zip"),
        ("100%25", "filename=100_25-anonymized.zip; filename*=UTF-8''100%2525-anonymized.zip"),
    ],
)
def test_the_name_of_the_result_is_in_ascii_too_for_older_clients(
    service: Service, tiny_png: bytes, name: str, expected: str
) -> None:
    batch_id = submit(service, (f"{name}/a.png", tiny_png))
    finished(service, batch_id)

    response = requests.get(f"{service.url}/batches/{batch_id}/result.zip", timeout=60)

    assert response.headers["Content-Disposition"] == f"attachment; {expected}"


def test_attributes_are_returned_as_tables(service: Service, tiny_png: bytes) -> None:
    batch_id = submit(service, ("a.png", tiny_png), ("none.png", encode(draw(96, 96), "PNG")), task="predict")

    finished(service, batch_id)
    tables = result(service, batch_id)

    assert sorted(tables) == ["results.csv", "results.jsonl"]
    lines = [json.loads(line) for line in tables["results.jsonl"].splitlines()]
    assert [(line["file"], len(line["faces"])) for line in lines] == [("a.png", 3), ("none.png", 0)]
    assert lines[0]["faces"] == service.post(tiny_png, annotated="false").json()["faces"]
    rows = list(csv.DictReader(io.StringIO(tables["results.csv"].decode("utf-8-sig"))))
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
    assert '"b.gif","unsupported_type"' in files["failures.csv"].decode()


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


def test_files_false_omits_the_files(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    plain = idle.get(f"/batches/{batch_id}?files=false").get_json()

    assert (plain["state"], plain["total"]) == ("waiting", 1)
    assert "files" not in plain


def test_the_result_of_an_unfinished_batch_is_a_conflict(idle: FlaskClient, tiny_png: bytes) -> None:
    batch_id = idle.post("/batches", data={"files": (io.BytesIO(tiny_png), "a.png")}).get_json()["id"]

    response = idle.get(f"/batches/{batch_id}/result.zip")

    assert (response.status_code, response.get_json()["code"]) == (409, "batch_not_done")


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
