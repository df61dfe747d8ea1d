"""Health, metrics, request IDs and headers of every response."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

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


def test_metrics_are_named_by_the_conventions_of_prometheus(client: FlaskClient) -> None:
    # https://prometheus.io/docs/practices/naming/: a prefix, lower case, base units, `_total` for counters.
    families = text_string_to_metric_families(client.get("/metrics").text)
    kinds = {each.name: each.type for each in families if each.name.startswith("visage_")}
    samples = client.get("/metrics").text

    assert {"visage_requests", "visage_request_duration_seconds"} <= set(kinds)
    assert [name for name in kinds if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert [name for name, kind in kinds.items() if kind == "histogram" and not name.endswith("_seconds")] == []
    assert [name for name, kind in kinds.items() if kind == "counter" and f"TYPE {name}_total " not in samples] == []
    assert [name for name, kind in kinds.items() if kind == "gauge" and name.endswith("_total")] == []


def test_fewer_than_100_requests_wait_to_be_counted(client: FlaskClient) -> None:
    most = 0
    for _ in range(250):
        client.get("/healthz")
        most = max(most, len(metrics._pending))

    assert 0 < most < 100


def test_unknown_paths_add_no_metrics(client: FlaskClient) -> None:
    client.get("/unknown-path")

    assert "unknown-path" not in client.get("/metrics").text
