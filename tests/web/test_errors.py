"""Errors: status, headers, and no detail of the inside."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.support import post
from visage.errors import PackError, QueueFull
from visage.settings import Settings
from visage.web import create_app


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


def test_a_range_beyond_a_file_is_rejected_with_the_length_of_the_file(client: FlaskClient) -> None:
    with client.get("/static/page.css") as file:
        length = len(file.data)

    response = client.get("/static/page.css", headers={"Range": "bytes=9999999-"})

    assert (response.status_code, response.headers["Content-Range"]) == (416, f"bytes */{length}")
    assert response.json == {
        "error": "The file ends before this range; the Content-Range header has its length.",
        "code": "bad_request",
    }


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
