"""nginx rejects what is too large or too much, with the error codes of Visage."""

import json
import re
from contextlib import ExitStack

import pytest
import requests

from tests.integration.nginx.connections import (
    assert_rejected_as_by_visage,
    connect,
    head,
    log_lines,
    response_on,
    temporary_files,
)
from tests.integration.nginx.proxy import (
    CONFIGURATION,
    MAX_BODY_BYTES,
    NGINX_MAX_MEGABYTES,
    PHOTOS_AT_ONCE,
    needs_nginx,
)
from tests.support.paths import ROOT
from tests.support.service import Service
from tests.support.waiting import wait_for
from visage.settings import Settings

pytestmark = needs_nginx


def test_a_photo_above_the_limit_of_visage_is_rejected_by_visage(nginx: Service) -> None:
    answer = nginx.post(bytes(MAX_BODY_BYTES + 1))

    assert_rejected_as_by_visage(answer, 413, "body_too_large")
    assert f"{MAX_BODY_BYTES:,}" in answer.json()["error"]


def test_a_photo_above_the_limit_of_nginx_is_rejected_before_it_arrives(nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(head("/predict", NGINX_MAX_MEGABYTES * 2**20 + 1))
        answer = response_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    assert wait_for(lambda: (413, "") in [(line["status"], line["upstream_status"]) for line in log_lines(nginx)])


def test_a_client_that_sends_a_whole_photo_above_the_limit_gets_the_response(nginx: Service) -> None:
    answer = requests.post(nginx.url + "/predict", data=bytes((NGINX_MAX_MEGABYTES + 5) * 2**20), timeout=60)

    assert_rejected_as_by_visage(answer, 413, "body_too_large")


def test_nginx_uses_the_error_codes_of_visage() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    known = {
        (status, code)
        for statuses, codes in re.findall(r"^\| ([45]\d\d[\d, ]*) \| (.+) \|$", page, re.MULTILINE)
        for status in statuses.split(", ")
        for code in re.findall(r"`(\w+)`", codes)
    }
    own = re.findall(r"""^ +(\d{3}|default) '\{"error": "[^"]+\.", "code": "(\w+)"\}';$""", CONFIGURATION, re.MULTILINE)

    assert len(own) == 7
    assert {(status.replace("default", "503"), code) for status, code in own} <= known


def test_the_limit_of_nginx_is_above_that_of_visage() -> None:
    assert Settings().max_body_bytes < NGINX_MAX_MEGABYTES * 2**20


def test_one_address_cannot_use_all_connections(nginx: Service, tiny_png: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(PHOTOS_AT_ONCE):
            stack.enter_context(connect(nginx)).sendall(head("/predict", 100_000) + tiny_png[:100])
        answers: list[requests.Response] = []

        def is_rejected() -> bool:
            answers.append(nginx.post(tiny_png))
            return answers[-1].status_code == 429

        assert wait_for(is_rejected)
        answer = answers[-1]
        health = requests.get(nginx.url + "/readyz", timeout=60)

    assert_rejected_as_by_visage(answer, 429, "queue_full")
    assert answer.headers["Retry-After"] == "1"
    assert health.ok
    assert wait_for(lambda: nginx.post(tiny_png).status_code == 200)


def test_a_body_for_a_route_without_one_is_rejected(service: Service, nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(head("/nothing", 20_000) + bytes(10))
        answer = response_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    assert temporary_files(nginx) == 0


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        pytest.param(b"What is this?\r\n\r\n", 400, "bad_request", id="invalid HTTP"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request", id="no host"),
        pytest.param(b"GET /?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address_too_long", id="address"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "headers_too_long", id="headers"
        ),
    ],
)
def test_a_rejection_by_nginx_has_the_shape_of_every_error(
    nginx: Service, request_bytes: bytes, status: int, code: str
) -> None:
    with connect(nginx) as connection:
        connection.sendall(request_bytes)
        answer = response_on(connection)
        body = json.load(answer)

    assert (answer.status, body["code"]) == (status, code)
    assert set(body) == {"error", "code"}
    assert answer.headers["Content-Type"] == "application/json"
