"""Health, metrics, request IDs and headers of every response."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.support import post
from visage.settings import Settings
from visage.web import create_app, metrics


def test_a_warm_service_is_healthy_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "pack": "tiny"}


def test_a_cold_service_is_not_ready(tiny_pack: Path) -> None:
    app = create_app(Settings(pack=str(tiny_pack)), warm=False)

    response = app.test_client().get("/readyz")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert response.json is not None
    assert response.json["code"] == "not_ready"


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
