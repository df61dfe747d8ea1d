"""Browsers as callers: pages of other origins, and names that lead to the service."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web.support import post
from visage.settings import Settings
from visage.web import create_app
from visage.web.origins import cors_headers

EVIL, APP = "https://evil.example", "https://app.example"


@pytest.fixture
def make_client(tiny_pack: Path) -> Any:
    def make(**settings: Any) -> FlaskClient:
        return create_app(Settings(pack=str(tiny_pack), **settings)).test_client()

    return make


def code(response: Any) -> str:
    return str(response.json["code"])


@pytest.mark.parametrize("route", ["/predict", "/analyze", "/anonymize", "/enhance", "/batches"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
        # Another port of the same machine.
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        # Sec-Fetch-Site is not sent by plain HTTP to other names than localhost.
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_post_of_a_page_of_another_origin_is_rejected(
    client: FlaskClient, tiny_png: bytes, route: str, headers: dict[str, str]
) -> None:
    response = post(client, tiny_png, route, headers=headers)

    assert (response.status_code, code(response)) == (403, "cross_site")


def test_a_batch_cannot_be_deleted_by_a_page_of_another_origin(client: FlaskClient) -> None:
    assert client.delete("/batches/0123456789abcdef01234567", headers={"Origin": EVIL}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost"},
        # A proxy may pass another host name than the browser uses.
        {"Origin": "https://photos.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_the_own_page_and_clients_without_these_headers_may_post(
    client: FlaskClient, tiny_png: bytes, headers: dict[str, str]
) -> None:
    assert post(client, tiny_png, headers=headers).status_code == 200


@pytest.mark.parametrize(("allowed", "origin"), [((APP,), APP), ((APP,), APP.upper()), (("*",), EVIL)])
def test_a_page_of_an_allowed_origin_may_post(
    make_client: Any, tiny_png: bytes, allowed: tuple[str, ...], origin: str
) -> None:
    response = post(
        make_client(cors_origins=allowed), tiny_png, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    )

    assert response.status_code == 200


def test_links_from_other_pages_lead_to_the_page(client: FlaskClient) -> None:
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_no_origin_is_allowed_by_default(client: FlaskClient) -> None:
    response = client.get("/healthz", headers={"Origin": EVIL})

    assert "Access-Control-Allow-Origin" not in response.headers


def test_only_the_configured_origin_is_allowed(make_client: Any) -> None:
    client = make_client(cors_origins=(APP,))

    preflight = client.options("/predict", headers={"Origin": APP, "Access-Control-Request-Method": "POST"})
    stranger = client.get("/healthz", headers={"Origin": EVIL})

    assert preflight.headers["Access-Control-Allow-Origin"] == APP
    assert "Access-Control-Allow-Origin" not in stranger.headers


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3"]
)
def test_on_loopback_addresses_and_localhost_are_allowed(client: FlaskClient, host: str) -> None:
    assert client.get("/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "a..b", "x" * 300])
@pytest.mark.parametrize("path", ["/", "/metrics", "/nothing"])
def test_on_loopback_other_names_are_rejected(client: FlaskClient, host: str, path: str) -> None:
    response = client.get(path, headers={"Host": host})

    assert (response.status_code, code(response)) == (421, "host_not_allowed")


@pytest.mark.parametrize(
    ("host", "status"), [("photos.example:80", 200), ("Photos.Example", 200), ("evil.example", 421)]
)
def test_a_public_service_can_name_its_hosts(make_client: Any, host: str, status: int) -> None:
    client = make_client(host="0.0.0.0", allowed_hosts=("photos.example",))

    assert client.get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("settings", [{"host": "0.0.0.0"}, {"allowed_hosts": ("*",)}])
@pytest.mark.parametrize("host", ["photos.example", "a..b", "x" * 300])
def test_a_public_service_has_any_name_unless_it_names_its_hosts(
    make_client: Any, settings: dict[str, Any], host: str
) -> None:
    client = make_client(**settings)

    assert client.get("/healthz", headers={"Host": host}).json == {"status": "ok"}


@pytest.mark.parametrize("allowed", [(), ("*",), (APP,), (APP, EVIL)])
@pytest.mark.parametrize("origin", ["", "null", APP, APP.upper(), EVIL, "https://app.example.evil.example"])
def test_errors_before_the_app_have_the_same_cors_headers(
    make_client: Any, allowed: tuple[str, ...], origin: str
) -> None:
    settings = Settings(cors_origins=allowed)

    response = make_client(cors_origins=allowed).get("/nothing", headers={"Origin": origin} if origin else {})

    of_app = {name: value for name, value in response.headers if name.startswith("Access-Control") or name == "Vary"}
    assert dict(cors_headers(origin, settings)) == of_app
