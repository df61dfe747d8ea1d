"""The configuration in deploy/nginx, with names and paths of this machine, in front of a real service."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.batch_client import finished, packed, result, submit
from tests.support.paths import ROOT
from tests.support.pictures import encode
from tests.support.processes import children
from tests.support.service import Service, free_port, serving
from tests.support.waiting import wait_for
from visage.settings import Settings

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs the command nginx (Debian's package nginx-light)")

CONFIGURATION = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
TLS = (ROOT / "deploy" / "nginx" / "tls.conf").read_text()

BODY_SECONDS = 2.0
MAX_BODY_BYTES = 2**20
MAX_BATCH_BYTES = 2**22

# Photos that one client address may send at the same time.
PHOTOS_AT_ONCE = int(re.findall(r"limit_conn photos (\d+);", CONFIGURATION)[0])
NGINX_MAX_MEGABYTES = int(re.findall(r"client_max_body_size (\d+)m;", CONFIGURATION)[0])

UNREACHABLE = "127.0.0.2"


class NameServer:
    """Answers every query of nginx with `addresses`, as the DNS server of Docker's networks does (RFC 1035)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            answers = [b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address) for address in self.addresses]
            head = query[:2] + b"\x81\x80\0\1" + len(answers).to_bytes(2, "big") + bytes(4)
            self._socket.sendto(head + query[12:] + b"".join(answers), client)


def replaced(text: str, replacements: dict[str, str]) -> str:
    """`text` with all names replaced in one pass, because a replacement may contain another name."""
    assert all(name in text for name in replacements)
    return re.sub("|".join(map(re.escape, replacements)), lambda found: replacements[found[0]], text)


@contextmanager
def proxied(
    folder: Path, visage_port: int, names: NameServer | None = None, tls: Path | None = None
) -> Iterator[Service]:
    """Run nginx in front of `visage_port`; with https if `tls` is a folder with a certificate."""
    names = names or NameServer("127.0.0.1")
    port = secure_port = free_port()
    while secure_port == port:
        secure_port = free_port()
    (folder / "visage").mkdir()
    replacements = {
        # Each worker process has its own cache of addresses.
        "worker_processes 2": "worker_processes 1",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "resolver 127.0.0.11": f"resolver 127.0.0.1:{names.port}",
        "visage:8080;": f"visage:{visage_port};",
        "/etc/nginx/visage/": f"{folder}/visage/",
        "/tmp/": f"{folder}/",
        "/dev/stdout": f"{folder}/log",
    }
    (folder / "nginx.conf").write_text(replaced(CONFIGURATION, replacements))
    if tls:
        replacements = {"listen 8443": f"listen 127.0.0.1:{secure_port}", "/etc/nginx/tls/": f"{tls}/"}
        (folder / "visage" / "tls.conf").write_text(replaced(TLS, replacements))
    assert NGINX is not None
    with (folder / "errors").open("w") as errors:
        # As root, nginx would switch to a user who may not write here.
        user = "user root;" if os.getuid() == 0 else ""
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", f"daemon off; {user}"]
        process = subprocess.Popen(command, stderr=errors, text=True)
    try:
        url = f"https://127.0.0.1:{secure_port}" if tls else f"http://127.0.0.1:{port}"
        assert wait_for(lambda: listens(secure_port if tls else port)), (folder / "errors").read_text()
        yield Service(url, process, folder / "log")
    finally:
        process.terminate()
        process.wait(60)


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def plain_port(nginx: Service) -> int:
    configuration = (nginx.log.parent / "nginx.conf").read_text()
    return int(re.findall(r"listen 127\.0\.0\.1:(\d+);", configuration)[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("behind_nginx") / "log"
    settings = {
        "VISAGE_BODY_SECONDS": str(BODY_SECONDS),
        "VISAGE_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "VISAGE_MAX_BATCH_BYTES": str(MAX_BATCH_BYTES),
        "VISAGE_QUEUE": "64",
    }
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        yield service


@pytest.fixture(scope="module")
def nginx(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with proxied(tmp_path_factory.mktemp("nginx"), port_of(service)) as nginx:
        yield nginx


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(service)), timeout=60)


def head(route: str, length: int, kind: str = "image/png") -> bytes:
    lines = f"POST {route} HTTP/1.1", "Host: visage.example", f"Content-Type: {kind}", f"Content-Length: {length}"
    return "\r\n".join([*lines, "", ""]).encode()


def batch_head(length: int) -> bytes:
    return head("/batches", length, "application/zip")


def response_on(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


def temporary_files(server: Service) -> int:
    """The number of unnamed files below the log's directory that the processes of a server have open."""
    count = 0
    for child in children(server):
        # Processes may end, and files may be closed, meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            for file in Path(f"/proc/{child}/fd").iterdir():
                with suppress(FileNotFoundError):
                    name = str(file.readlink())
                    count += name.startswith(str(server.log.parent)) and name.endswith("(deleted)")
    return count


def log_lines(nginx: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in nginx.log.read_text().splitlines()]


def assert_rejected_as_by_visage(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["X-Request-ID"])


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


def test_nginx_buffers_clients_that_are_too_slow_for_visage(service: Service, nginx: Service, tiny_png: bytes) -> None:
    def send_slowly(to: Service, pieces: int) -> int:
        with connect(to) as connection:
            connection.sendall(head("/predict?annotated=false", len(tiny_png)) + tiny_png[:-pieces])
            for number in range(-pieces, 0):
                # Stop sending once a response has arrived.
                if select.select([connection], [], [], BODY_SECONDS / 2)[0]:
                    break
                connection.sendall(tiny_png[number:][:1])
            return response_on(connection).status

    # Enough pieces for a busy machine to notice the timeout.
    assert send_slowly(service, 60) == 408
    assert send_slowly(nginx, 4) == 200


def test_stalled_clients_do_not_reach_visage(service: Service, nginx: Service, tiny_png: bytes) -> None:
    def stall(to: Service, request_id: str) -> None:
        named = head("/predict", 100_000).replace(b"Host", f"X-Request-ID: {request_id}\r\nHost".encode())
        stack.enter_context(connect(to)).sendall(named + tiny_png[:100])

    def timed_out() -> list[str]:
        lines = (json.loads(line) for line in service.log.read_text().splitlines() if '"body_timeout"' in line)
        return [line["request_id"] for line in lines]

    with ExitStack() as stack:
        for _ in range(PHOTOS_AT_ONCE - 1):
            stall(nginx, "behind-nginx")
        stall(service, "alone")

        assert wait_for(lambda: "alone" in timed_out())
        assert nginx.post(tiny_png).status_code == 200

    assert "behind-nginx" not in timed_out()


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


def test_a_rejection_by_visage_is_forwarded_unchanged(nginx: Service) -> None:
    answers: dict[int, dict[str, Any]] = {}

    def third_of_the_largest_batches_is_rejected() -> bool:
        with ExitStack() as stack:
            first, second, third = (stack.enter_context(connect(nginx)) for _ in range(3))
            for client in (first, second):
                client.sendall(batch_head(MAX_BATCH_BYTES) + bytes(MAX_BATCH_BYTES - 1))
            third.sendall(batch_head(MAX_BATCH_BYTES))
            answer = response_on(third)
            answers[answer.status] = {**json.load(answer), "retry_after": answer.headers["Retry-After"]}
        return 429 in answers

    # The third may arrive before the others, and then time out.
    assert wait_for(third_of_the_largest_batches_is_rejected)
    assert set(answers) <= {408, 429}
    assert (answers[429]["code"], answers[429]["retry_after"]) == ("queue_full", "10")


def test_a_batch_is_written_to_disk_by_visage_only(service: Service, nginx: Service) -> None:
    # The test sees temporary files of nginx, such as that of a photo.
    with connect(nginx) as connection:
        connection.sendall(head("/predict", MAX_BODY_BYTES) + bytes(MAX_BODY_BYTES - 1))
        assert wait_for(lambda: temporary_files(nginx) == 1)
    # Wait until Visage has closed the uploads of other tests.
    assert wait_for(lambda: temporary_files(nginx) == 0 and temporary_files(service) == 0)

    seen: list[tuple[int, int]] = []
    rejections: list[tuple[int, str]] = []

    def half_a_batch_is_on_one_disk() -> bool:
        with connect(nginx) as connection:
            connection.sendall(batch_head(MAX_BATCH_BYTES) + bytes(MAX_BATCH_BYTES // 2))
            while not select.select([connection], [], [], 0.02)[0]:
                seen.append((temporary_files(service), temporary_files(nginx)))
            # nginx does not wait longer than Visage.
            answer = response_on(connection)
            rejections.append((answer.status, json.loads(answer.read())["code"]))
        return (1, 0) in seen

    assert wait_for(half_a_batch_is_on_one_disk)
    assert {by_nginx for _, by_nginx in seen} == {0}
    assert set(rejections) == {(408, "body_timeout")}


def test_a_batch_that_is_too_large_is_rejected_before_it_arrives(nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(batch_head(MAX_BATCH_BYTES + 1) + bytes(10))
        answer = response_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")


def test_a_body_for_a_route_without_one_is_rejected(service: Service, nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(head("/nothing", 20_000) + bytes(10))
        answer = response_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    assert temporary_files(nginx) == 0


def test_a_batch_is_submitted_and_downloaded(nginx: Service, tiny_png: bytes) -> None:
    archive = packed(*[(f"{number}.png", tiny_png) for number in range(5)])

    batch_id = submit(nginx, ("photos.zip", archive), method="solid")

    assert finished(nginx, batch_id)["done"] == 5
    assert len(result(nginx, batch_id)) == 5
    assert requests.delete(f"{nginx.url}/batches/{batch_id}", timeout=60).status_code == 204


def test_events_arrive_at_once(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    idle = serving(tmp_path / "visage.log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0")
    with idle as service, proxied(tmp_path, port_of(service)) as nginx:
        batch_id = submit(nginx, ("a.png", tiny_png))

        with requests.get(f"{nginx.url}/batches/{batch_id}/events", stream=True, timeout=60) as stream:
            # No process works on the batch, so no later event would flush a buffer.
            lines = stream.iter_lines()
            assert "event: progress" in [next(lines).decode() for _ in range(3)]


def test_a_response_that_is_read_slowly_arrives_completely_without_a_temporary_file(nginx: Service) -> None:
    photo = encode(np.random.default_rng(1).integers(0, 256, (580, 580, 3), np.uint8), "BMP")
    assert MAX_BODY_BYTES - 50_000 < len(photo) < MAX_BODY_BYTES
    received = bytearray()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port_of(nginx)))
        connection.sendall(head("/anonymize", len(photo)).replace(b"Host", b"Connection: close\r\nHost") + photo)
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.001)
            assert temporary_files(nginx) == 0

    response_head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert response_head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == len(photo)


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


@pytest.mark.parametrize("sent", ["caller-1", "not valid", None])
def test_the_response_and_both_logs_have_the_same_request_id(
    service: Service, nginx: Service, sent: str | None
) -> None:
    headers = {"X-Request-ID": sent} if sent else {}

    returned = requests.post(nginx.url + "/predict", data=b"x", headers=headers, timeout=60).headers["X-Request-ID"]

    assert (returned == sent) == (sent == "caller-1")
    assert wait_for(lambda: returned in [line["request_id"] for line in log_lines(nginx)])
    assert wait_for(lambda: f'"request_id":"{returned}"' in service.log.read_text())


def test_the_log_has_no_batch_ids_and_no_text_from_clients(nginx: Service, tiny_png: bytes) -> None:
    batch_id = submit(nginx, ("grandmother.png", tiny_png))
    for path in (f"/batches/{batch_id}", f"/batches/{batch_id}/events", "/of/callers?secret=kept"):
        requests.get(nginx.url + path, headers={"User-Agent": "caller", "Referer": path}, timeout=60)

    # nginx logs after the response.
    routes = {"/batches/<batch_id>", "/batches/<batch_id>/events", "unknown"}
    assert wait_for(lambda: routes <= {line["route"] for line in log_lines(nginx)})
    text = nginx.log.read_text() + (nginx.log.parent / "errors").read_text()
    assert not [word for word in (batch_id, "grandmother", "callers", "secret", "127.0.0.1") if word in text]


def test_visage_gets_the_host_and_the_clients_address_and_scheme(tmp_path: Path) -> None:
    received = ""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        port: int = server.getsockname()[1]
        with proxied(tmp_path, port) as nginx, connect(nginx) as client:
            client.sendall(
                b"GET /docs HTTP/1.1\r\nHost: visage.example\r\nX-Forwarded-For: 192.0.2.1\r\n"
                b"X-Forwarded-Proto: gopher\r\nX-Request-ID: one\r\nAuthorization: Bearer token\r\n\r\n"
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
