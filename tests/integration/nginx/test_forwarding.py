"""nginx forwards requests to reachable instances, with the headers and over the schemes that Visage needs."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from tests.integration.nginx.connections import (
    assert_rejected_as_by_visage,
    connect,
    log_lines,
    response_on,
)
from tests.integration.nginx.proxy import (
    UNREACHABLE,
    NameServer,
    needs_nginx,
    plain_port,
    port_of,
    proxied,
)
from tests.support.service import Service
from tests.support.waiting import wait_for

pytestmark = needs_nginx


def test_page_health_and_photos_are_forwarded(nginx: Service, tiny_png: bytes) -> None:
    assert requests.get(nginx.url + "/", timeout=60).headers["Content-Type"].startswith("text/html")
    assert requests.get(nginx.url + "/healthz", timeout=60).json() == {"status": "ok"}
    assert requests.get(nginx.url + "/readyz", timeout=60).ok
    assert len(nginx.post(tiny_png).json()["faces"]) == 3
    assert nginx.post(tiny_png, "/analyze").headers["X-Face-Count"] == "3"


def test_metrics_are_not_forwarded(service: Service, nginx: Service) -> None:
    assert requests.get(service.url + "/metrics", timeout=60).ok
    for path in ("/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?x"):
        with connect(nginx) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = response_on(connection)
            assert (answer.status, json.load(answer)["code"]) == (404, "not_found")


def test_visage_gets_the_host_and_the_clients_address_and_scheme(tmp_path: Path) -> None:
    received = ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port: int = server.getsockname()[1]
        with proxied(tmp_path, port) as nginx, connect(nginx) as client:
            client.sendall(
                b"GET /docs HTTP/1.1\r\nHost: visage.example\r\nX-Forwarded-For: 192.0.2.1\r\n"
                b"X-Forwarded-Proto: gopher\r\nX-Forwarded-Prefix: /forged\r\nX-Request-ID: one\r\n"
                b"Authorization: Bearer token\r\n\r\n"
            )
            connection, _ = server.accept()
            with connection:
                while "\r\n\r\n" not in received and (piece := connection.recv(65536)):
                    received += piece.decode()

    first, *headers = received.split("\r\n\r\n")[0].split("\r\n")
    assert first == "GET /docs HTTP/1.1"
    assert sorted(headers) == [
        "Authorization: Bearer token",
        "Host: visage.example",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Request-ID: one",
    ]


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="needs the commands openssl and curl"
)
def test_https_and_http_2_work_with_a_certificate(service: Service, tmp_path: Path, tiny_png: bytes) -> None:
    certificate = tmp_path / "fullchain.pem"
    subject = ("-subj", "/CN=visage", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", tmp_path / "privkey.pem", "-out", certificate)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *key, *subject, *files], check=True, capture_output=True)

    with proxied(tmp_path, port_of(service), tls=tmp_path) as nginx:
        page = requests.get(nginx.url + "/docs", verify=str(certificate), timeout=60)
        answer = requests.post(nginx.url + "/predict", files={"image": tiny_png}, verify=str(certificate), timeout=60)
        options = ("--silent", "--show-error", "--http2", "--cacert", certificate, "--write-out", "%{http_version}")
        by_curl = subprocess.run(["curl", *options, nginx.url + "/docs"], capture_output=True, text=True, check=True)
        redirect = requests.get(f"http://127.0.0.1:{plain_port(nginx)}/docs?x", allow_redirects=False, timeout=60)

    assert len(answer.json()["faces"]) == 3
    assert (redirect.status_code, redirect.headers["Location"]) == (301, "https://127.0.0.1/docs?x")
    # The examples on the page must have the right address.
    assert nginx.url + "/predict" in page.text
    assert by_curl.stdout == page.text + "2"


def test_without_an_instance_nginx_returns_503_until_there_is_one(
    service: Service, tmp_path: Path, tiny_png: bytes
) -> None:
    names = NameServer(UNREACHABLE)
    with proxied(tmp_path, port_of(service), names) as nginx:
        answer = nginx.post(tiny_png)
        assert_rejected_as_by_visage(answer, 503, "not_ready")
        assert answer.headers["Retry-After"] == "5"

        names.addresses = ("127.0.0.1",)

        assert wait_for(lambda: nginx.post(tiny_png).status_code == 200)


def test_photos_go_to_reachable_instances(service: Service, tmp_path: Path, tiny_png: bytes) -> None:
    with proxied(tmp_path, port_of(service), NameServer("127.0.0.1", UNREACHABLE)) as nginx:
        # nginx tries either of them first, at random.
        statuses = []

        def unreachable_one_was_tried() -> bool:
            statuses.append(nginx.post(tiny_png).status_code)
            return "502, 200" in [line["upstream_status"] for line in log_lines(nginx)]

        assert wait_for(unreachable_one_was_tried)
    assert set(statuses) == {200}
