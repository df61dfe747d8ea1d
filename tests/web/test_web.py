"""The routes: parameters, formats of responses, errors, headers, metrics and the web page."""

import base64
import email.parser
import email.policy
import io
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.paths import ROOT
from tests.support.tiny_pack import TINY_FACES
from visage.errors import PackError, QueueFull
from visage.settings import Settings
from visage.web import create_app, metrics
from visage.web.form_parser import CHUNK


def post(client: FlaskClient, photo: bytes, route: str = "/predict", **arguments: Any) -> TestResponse:
    return client.post(route, data={"image": (io.BytesIO(photo), "photo.png")}, **arguments)


def is_jpeg(content: bytes) -> bool:
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return content.startswith(b"\xff\xd8") and picture is not None and picture.shape == (384, 384, 3)


def test_predict_returns_json_that_includes_the_picture(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png)

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["image"] == {"width": 384, "height": 384}
    assert sorted(tuple(face["bbox"]) for face in response.json["faces"]) == sorted(TINY_FACES)
    assert response.json["model"] == {"pack": "tiny", "version": "1"}
    assert set(response.json["timings_ms"]) == {"wait", "decode", "detect", "attributes", "annotate", "encode"}
    assert is_jpeg(base64.b64decode(response.json["annotated_jpeg"]))


def test_a_face_has_the_documented_fields(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png)

    assert response.json is not None
    face = next(face for face in response.json["faces"] if face["bbox"] == [240, 176, 336, 272])
    assert face == {
        "bbox": [240, 176, 336, 272],
        "confidence": 0.9952,
        "gender": "Female",
        "gender_confidence": 0.9952,
        "age": "(10-49)",
        "age_range": [10, 49],
        "age_confidence": face["age_probabilities"]["(10-49)"],
        "age_years": 21.2,
        "gender_probabilities": {"Male": 0.0048, "Female": 0.9952},
        "age_probabilities": face["age_probabilities"],
    }
    assert list(face["age_probabilities"]) == ["(0-9)", "(10-49)", "(50-99)"]


def test_annotated_false_omits_the_picture(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, query_string={"annotated": "false"})

    assert response.json is not None
    assert "annotated_jpeg" not in response.json


def test_analyze_returns_the_picture(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, "/analyze")

    assert response.mimetype == "image/jpeg"
    assert response.headers["X-Face-Count"] == "3"
    assert is_jpeg(response.data)


@pytest.mark.parametrize(
    ("route", "accept", "media_type"),
    [
        ("/predict", "*/*", "application/json"),
        ("/predict", "application/json", "application/json"),
        ("/predict", "application/json; charset=utf-8", "application/json"),
        ("/predict", "image/jpeg;version=1;q=0.9, application/json;q=0.5", "image/jpeg"),
        ("/predict", "image/jpeg", "image/jpeg"),
        ("/predict", "image/*", "image/jpeg"),
        ("/predict", "multipart/mixed", "multipart/mixed"),
        ("/predict", "image/jpeg;q=0.5, application/json;q=0.9", "application/json"),
        ("/predict", "application/json;q=0.5, image/jpeg;q=0.9", "image/jpeg"),
        ("/predict", "text/html, application/xhtml+xml, image/avif, */*;q=0.8", "application/json"),
        ("/analyze", "*/*", "image/jpeg"),
        ("/analyze", "application/json", "application/json"),
        ("/analyze", "text/html, application/xhtml+xml, image/avif, */*;q=0.8", "image/jpeg"),
    ],
)
def test_the_response_has_the_preferred_type_of_accept(
    client: FlaskClient, tiny_png: bytes, route: str, accept: str, media_type: str
) -> None:
    response = post(client, tiny_png, route, headers={"Accept": accept})

    assert (response.status_code, response.mimetype) == (200, media_type)
    assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "nonsense"])
def test_an_unavailable_type_in_accept_is_rejected(client: FlaskClient, tiny_png: bytes, accept: str) -> None:
    response = post(client, tiny_png, headers={"Accept": accept})

    assert response.status_code == 406
    assert response.json is not None
    assert response.json["code"] == "not_acceptable"


@pytest.mark.parametrize(
    ("form", "media_type"), [("json", "application/json"), ("jpeg", "image/jpeg"), ("both", "multipart/mixed")]
)
def test_the_format_parameter_wins_over_accept(
    client: FlaskClient, tiny_png: bytes, form: str, media_type: str
) -> None:
    response = post(client, tiny_png, query_string={"format": form}, headers={"Accept": "image/png"})

    assert (response.status_code, response.mimetype) == (200, media_type)


def test_both_returns_two_raw_parts(client: FlaskClient, tiny_png: bytes) -> None:
    response = post(client, tiny_png, headers={"Accept": "multipart/mixed"})

    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {response.content_type}\r\n\r\n".encode() + response.data
    )
    description, picture = (part for part in message.walk() if not part.is_multipart())
    assert description.get_content_type() == "application/json"
    content = json.loads(str(description.get_payload()))
    assert len(content["faces"]) == 3
    assert "annotated_jpeg" not in content
    assert picture.get_content_type() == "image/jpeg"
    assert is_jpeg(bytes(picture.get_payload(decode=True)))


@pytest.mark.parametrize("field", ["image", "file"])
def test_the_photo_is_accepted_as_image_or_file(client: FlaskClient, tiny_png: bytes, field: str) -> None:
    response = client.post("/predict", data={field: (io.BytesIO(tiny_png), "photo.png")})

    assert response.status_code == 200


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "image/x-anything", "application/octet-stream"])
def test_a_raw_body_is_recognized_by_its_bytes(client: FlaskClient, tiny_png: bytes, content_type: str) -> None:
    response = client.post("/predict", data=tiny_png, content_type=content_type)

    assert response.status_code == 200


@pytest.mark.parametrize("way", ["query_string", "data"])
def test_parameters_are_read_from_the_query_and_from_the_form(client: FlaskClient, tiny_png: bytes, way: str) -> None:
    photo = {"image": (io.BytesIO(tiny_png), "photo.png")}
    parameters = {"max_faces": "1"}
    query, form = (parameters, photo) if way == "query_string" else ({}, photo | parameters)

    response = client.post("/predict", query_string=query, data=form)

    assert response.json is not None
    assert len(response.json["faces"]) == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("min_confidence", "0", "a number from 0.01 to 1"),
        ("min_confidence", "1.1", "a number from 0.01 to 1"),
        ("min_confidence", "nan", "a number from 0.01 to 1"),
        ("min_confidence", "1_0e-1", "a number from 0.01 to 1"),
        ("min_confidence", "high", "a number from 0.01 to 1"),
        ("max_faces", "0", "a whole number from 1 to 1000"),
        ("max_faces", "1.5", "a whole number from 1 to 1000"),
        ("max_faces", "9" * 5000, "a whole number from 1 to 1000"),
        ("max_faces", "²", "a whole number from 1 to 1000"),
        ("min_face_size", "-1", "a whole number from 0 to 100000"),
        ("detail", "medium", "one of fast, auto, high"),
        ("format", "xml", "one of json, jpeg, both"),
        ("annotated", "no", "one of true, false"),
    ],
)
def test_an_error_names_the_parameter_and_its_range(
    client: FlaskClient, tiny_png: bytes, name: str, value: str, expected: str
) -> None:
    response = post(client, tiny_png, query_string={name: value})

    assert response.status_code == 400
    assert response.json is not None
    assert response.json["code"] == "bad_parameter"
    assert response.json["error"].startswith(f"{name} is ")
    assert response.json["error"].endswith(f"; it must be {expected}.")
    assert len(response.json["error"]) < 150


def test_a_warm_service_is_healthy_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "pack": "tiny"}


def test_a_cold_service_is_not_ready(tiny_pack: Path) -> None:
    app = create_app(Settings(pack=str(tiny_pack)), warm=False)

    response = app.test_client().get("/readyz")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json is not None
    assert response.json["code"] == "not_ready"


@pytest.mark.parametrize("path", ["/nothing", "/predict/", "/batches//x", "/static/../app.py", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_not_found(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] == "not_found"


def test_a_wrong_method_is_rejected_with_the_allowed_ones(client: FlaskClient) -> None:
    response = client.get("/predict")

    assert response.status_code == 405
    assert response.json is not None
    assert response.json["code"] == "method_not_allowed"
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_an_unexpected_error_reveals_no_detail(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(pack=str(tiny_pack)))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(app.extensions["engine"], "analyze", fail)
    response = post(app.test_client(), tiny_png)

    assert response.status_code == 500
    assert response.json is not None
    assert response.json["code"] == "internal_error"
    assert "secret" not in response.text
    assert any(record.exc_info and "secret" in str(record.exc_info[1]) for record in caplog.records)


def test_an_error_of_the_pack_reveals_no_path(
    app: Flask, client: FlaskClient, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PackError("/srv/models/face.prototxt is no SSD")

    monkeypatch.setattr(app.extensions["engine"], "analyze", fail)
    response = post(client, tiny_png)

    assert response.status_code == 500
    assert "/srv" not in response.text


def test_a_busy_service_says_when_to_try_again(
    app: Flask, client: FlaskClient, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(*_: Any, **__: Any) -> None:
        raise QueueFull("The queue is full; try again in a second.")

    monkeypatch.setattr(app.extensions["engine"], "analyze", reject)
    response = post(client, tiny_png)

    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert response.json is not None
    assert response.json["code"] == "queue_full"


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/openapi.json", "/"])
def test_every_response_forbids_storing_and_sniffing(client: FlaskClient, path: str) -> None:
    response = client.get(path)

    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_a_valid_request_id_is_repeated(client: FlaskClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "order-17.a"}).headers["X-Request-ID"] == "order-17.a"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, '"};drop', "ü"])
def test_an_invalid_request_id_is_replaced(client: FlaskClient, sent: str) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert len(given) == 32
    assert given != sent


def test_metrics_count_requests(client: FlaskClient, tiny_png: bytes) -> None:
    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith('visage_requests_total{route="/predict",status="200"}')]
        return float(found[0].split()[-1]) if found else 0

    before = count()
    post(client, tiny_png)

    assert count() == before + 1


def test_fewer_than_100_requests_wait_to_be_counted(client: FlaskClient) -> None:
    most = 0
    for _ in range(250):
        client.get("/healthz")
        most = max(most, len(metrics._pending))

    assert 0 < most < 100


def test_unknown_paths_add_no_metrics(client: FlaskClient) -> None:
    client.get("/unknown-path")

    assert "unknown-path" not in client.get("/metrics").text


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    response = client.get("/")

    assert response.mimetype == "text/html"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "://" not in response.text


def test_the_page_has_no_inline_script_or_style(client: FlaskClient) -> None:
    page = client.get("/").text

    assert re.findall(r"<script(?! type=.module. src=.static/)", page) == []
    assert re.findall(r"<style|\bstyle=|\bon\w+=", page) == []


def test_every_file_that_the_page_loads_exists(client: FlaskClient) -> None:
    named = re.findall(r'(?:src|href)="(static/[^"]+)"', client.get("/").text)

    assert named
    for path in named:
        with client.get(path) as response:
            assert response.status_code == 200, path


def test_every_module_of_the_page_is_preloaded(client: FlaskClient) -> None:
    page = client.get("/").text

    modules = {path.name for path in (ROOT / "visage" / "web" / "static").glob("*.js")}
    assert modules == set(re.findall(r'(?:rel="modulepreload" href|type="module" src)="static/([^"]+)"', page))


def test_a_page_without_scripts_has_a_form_that_posts_a_photo(client: FlaskClient) -> None:
    form = client.get("/").text.partition("<noscript>")[2].partition("</noscript>")[0]

    assert '<form class="plain" action="analyze" method="post" enctype="multipart/form-data">' in form
    assert 'name="image" type="file"' in form


@pytest.fixture
def protected(tiny_pack: Path) -> FlaskClient:
    return create_app(Settings(pack=str(tiny_pack), api_token="s3cret")).test_client()


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic s3cret", "s3cret", "Bearer s3crét"])
def test_a_photo_without_the_token_is_rejected(protected: FlaskClient, tiny_png: bytes, header: str | None) -> None:
    response = post(protected, tiny_png, headers={"Authorization": header} if header else {})

    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.json is not None
    assert response.json["code"] == "unauthorized"


def test_a_photo_with_the_token_is_accepted(protected: FlaskClient, tiny_png: bytes) -> None:
    assert post(protected, tiny_png, headers={"Authorization": "Bearer s3cret"}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/metrics", 401)])
def test_metrics_need_the_token_but_health_and_the_page_do_not(protected: FlaskClient, path: str, status: int) -> None:
    assert protected.get(path).status_code == status


def test_no_origin_is_allowed_by_default(client: FlaskClient) -> None:
    response = client.get("/healthz", headers={"Origin": "https://elsewhere.example"})

    assert "Access-Control-Allow-Origin" not in response.headers


def test_only_the_configured_origin_is_allowed(tiny_pack: Path) -> None:
    client = create_app(Settings(pack=str(tiny_pack), cors_origins=("https://app.example",))).test_client()

    preflight = client.options(
        "/predict", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    )
    stranger = client.get("/healthz", headers={"Origin": "https://elsewhere.example"})

    assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_an_upload_is_never_written_to_a_file(
    client: FlaskClient, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: Any, **__: Any) -> None:
        raise AssertionError("a temporary file was created")

    monkeypatch.setattr("tempfile.TemporaryFile", forbid)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", forbid)

    # Larger than the 500 kB that werkzeug keeps in memory by default.
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = part + tiny_png + bytes(900_000) + b"\r\n--b--\r\n"
    response = client.post("/predict", data=body, content_type="multipart/form-data; boundary=b")

    assert response.status_code == 200


@pytest.mark.parametrize("after", [0, 1, CHUNK, 3 * CHUNK])
def test_bytes_after_the_last_boundary_of_a_form_are_ignored(client: FlaskClient, tiny_png: bytes, after: int) -> None:
    head = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = head + tiny_png + b"\r\n--edge--\r\n" + bytes(after)

    response = client.post("/predict", data=body, content_type="multipart/form-data; boundary=edge")

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("file_name", ['filename="a.png"', "filename*=UTF-8''%C3%A9.png", 'filename=""'])
def test_every_spelling_of_a_file_name_marks_a_file(client: FlaskClient, tiny_png: bytes, file_name: str) -> None:
    head = f'--edge\r\nContent-Disposition: form-data; name="image"; {file_name}\r\n\r\n'.encode()

    response = client.post(
        "/predict", data=head + tiny_png + b"\r\n--edge--\r\n", content_type="multipart/form-data; boundary=edge"
    )

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("host", ["photos.example", "a..b", "x" * 300])
def test_any_host_header_is_accepted(client: FlaskClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).json == {"status": "ok"}
