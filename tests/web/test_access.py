"""The access token."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.support import post
from visage.settings import Settings
from visage.web import create_app


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
