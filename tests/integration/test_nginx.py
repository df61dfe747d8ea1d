"""What deploy/nginx makes of requests: Debian's nginx, with names and paths of this machine, before a real gunicorn."""

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
MOST_BODY = 2**20
MOST_BATCH = 2**22

# What one address may have in work at the same time.
PHOTOS_AT_ONCE = int(re.findall(r"limit_conn photos (\d+);", CONFIGURATION)[0])
MOST_MEGABYTES = int(re.findall(r"client_max_body_size (\d+)m;", CONFIGURATION)[0])

NOWHERE = "127.0.0.2"


class NameServer:
    """Answers every question of nginx with `addresses`, as the name server of Docker's networks would (RFC 1035)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            answers = [b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address) for address in self.addresses]
            head = question[:2] + b"\x81\x80\0\1" + len(answers).to_bytes(2, "big") + bytes(4)
            self._socket.sendto(head + question[12:] + b"".join(answers), client)


def replaced(text: str, stand_ins: dict[str, str]) -> str:
    """`text` with other names in it, none of which is looked at again: a stand-in may have another name in it."""
    assert all(name in text for name in stand_ins)
    return re.sub("|".join(map(re.escape, stand_ins)), lambda found: stand_ins[found[0]], text)


@contextmanager
def proxied(
    folder: Path, visage_port: int, names: NameServer | None = None, tls: Path | None = None
) -> Iterator[Service]:
    """nginx before what listens at `visage_port`; with `tls`, a folder with a certificate, it is reached by https."""
    names = names or NameServer("127.0.0.1")
    port = secure_port = free_port()
    while secure_port == port:
        secure_port = free_port()
    (folder / "visage").mkdir()
    stand_ins = {
        # Each process would remember addresses by itself.
        "worker_processes 2": "worker_processes 1",
        "listen 8080": f"listen 127.0.0.1:{port}",
        "resolver 127.0.0.11": f"resolver 127.0.0.1:{names.port}",
        "visage:8080;": f"visage:{visage_port};",
        "/etc/nginx/visage/": f"{folder}/visage/",
        "/tmp/": f"{folder}/",
        "/dev/stdout": f"{folder}/log",
    }
    (folder / "nginx.conf").write_text(replaced(CONFIGURATION, stand_ins))
    if tls:
        stand_ins = {"listen 8443": f"listen 127.0.0.1:{secure_port}", "/etc/nginx/tls/": f"{tls}/"}
        (folder / "visage" / "tls.conf").write_text(replaced(TLS, stand_ins))
    assert NGINX is not None
    with (folder / "errors").open("w") as errors:
        # As root it would look for a user who may write here.
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
        "VISAGE_MAX_BODY_BYTES": str(MOST_BODY),
        "VISAGE_MAX_BATCH_BYTES": str(MOST_BATCH),
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


def answer_on(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


def spools(server: Service) -> int:
    """Files without a name that the processes of a server have open below its log's directory."""
    count = 0
    for child in children(server):
        # Processes end, and files are closed, while they are looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            for file in Path(f"/proc/{child}/fd").iterdir():
                with suppress(FileNotFoundError):
                    name = str(file.readlink())
                    count += name.startswith(str(server.log.parent)) and name.endswith("(deleted)")
    return count


def log_lines(nginx: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in nginx.log.read_text().splitlines()]


def assert_refused_as_visage_would(answer: requests.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code"}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", answer.headers["X-Request-ID"])


def test_the_page_health_and_photos_are_passed_on(nginx: Service, tiny_png: bytes) -> None:
    assert requests.get(nginx.url + "/", timeout=60).headers["Content-Type"].startswith("text/html")
    assert requests.get(nginx.url + "/healthz", timeout=60).json() == {"status": "ok"}
    assert requests.get(nginx.url + "/readyz", timeout=60).ok
    assert len(nginx.post(tiny_png).json()["faces"]) == 3
    assert nginx.post(tiny_png, "/analyze").headers["X-Face-Count"] == "3"


def test_metrics_are_for_nobody_outside(service: Service, nginx: Service) -> None:
    assert requests.get(service.url + "/metrics", timeout=60).ok
    for path in ("/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?x"):
        with connect(nginx) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = answer_on(connection)
            assert (answer.status, json.load(answer)["code"]) == (404, "not_found")


def test_a_photo_that_is_too_large_is_refused_by_visage_itself(nginx: Service) -> None:
    answer = nginx.post(bytes(MOST_BODY + 1))

    assert_refused_as_visage_would(answer, 413, "body_too_large")
    assert f"{MOST_BODY:,}" in answer.json()["error"]


def test_a_photo_that_is_far_too_large_is_refused_before_it_comes(nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(head("/predict", MOST_MEGABYTES * 2**20 + 1))
        answer = answer_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    assert wait_for(lambda: (413, "") in [(line["status"], line["upstream_status"]) for line in log_lines(nginx)])


def test_a_client_that_sends_all_of_what_is_far_too_large_gets_the_answer_too(nginx: Service) -> None:
    answer = requests.post(nginx.url + "/predict", data=bytes((MOST_MEGABYTES + 5) * 2**20), timeout=60)

    assert_refused_as_visage_would(answer, 413, "body_too_large")


def test_codes_are_those_that_visage_has_for_the_status() -> None:
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


def test_visage_takes_no_body_that_nginx_does_not() -> None:
    assert Settings().max_body_bytes < MOST_MEGABYTES * 2**20


def test_a_client_that_is_slower_than_visage_allows_is_answered(
    service: Service, nginx: Service, tiny_png: bytes
) -> None:
    def send_slowly(to: Service, pieces: int) -> int:
        with connect(to) as connection:
            connection.sendall(head("/predict?annotated=false", len(tiny_png)) + tiny_png[:-pieces])
            for number in range(-pieces, 0):
                # Who has an answer already sends no more.
                if select.select([connection], [], [], BODY_SECONDS / 2)[0]:
                    break
                connection.sendall(tiny_png[number:][:1])
            return answer_on(connection).status

    # So slowly that a machine may take a minute to notice.
    assert send_slowly(service, 60) == 408
    assert send_slowly(nginx, 4) == 200


def test_clients_that_stall_are_not_seen_by_visage(service: Service, nginx: Service, tiny_png: bytes) -> None:
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


def test_one_address_may_not_have_all_the_places(nginx: Service, tiny_png: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(PHOTOS_AT_ONCE):
            stack.enter_context(connect(nginx)).sendall(head("/predict", 100_000) + tiny_png[:100])
        answers: list[requests.Response] = []

        def is_refused() -> bool:
            answers.append(nginx.post(tiny_png))
            return answers[-1].status_code == 429

        assert wait_for(is_refused)
        answer = answers[-1]
        health = requests.get(nginx.url + "/readyz", timeout=60)

    assert_refused_as_visage_would(answer, 429, "queue_full")
    assert answer.headers["Retry-After"] == "1"
    assert health.ok
    assert wait_for(lambda: nginx.post(tiny_png).status_code == 200)


def test_a_refusal_of_visage_is_passed_on_as_it_is(nginx: Service) -> None:
    answers: dict[int, dict[str, Any]] = {}

    def third_of_the_largest_batches_is_refused() -> bool:
        with ExitStack() as stack:
            first, second, third = (stack.enter_context(connect(nginx)) for _ in range(3))
            for client in (first, second):
                client.sendall(batch_head(MOST_BATCH) + bytes(MOST_BATCH - 1))
            third.sendall(batch_head(MOST_BATCH))
            answer = answer_on(third)
            answers[answer.status] = {**json.load(answer), "retry_after": answer.headers["Retry-After"]}
        return 429 in answers

    # The third may overtake the others; then it is timed out.
    assert wait_for(third_of_the_largest_batches_is_refused)
    assert set(answers) <= {408, 429}
    assert (answers[429]["code"], answers[429]["retry_after"]) == ("queue_full", "10")


def test_a_batch_is_written_to_the_disk_of_visage_alone(service: Service, nginx: Service) -> None:
    # What nginx keeps would be seen.
    with connect(nginx) as connection:
        connection.sendall(head("/predict", MOST_BODY) + bytes(MOST_BODY - 1))
        assert wait_for(lambda: spools(nginx) == 1)
    # What other tests began to hand in leaves no room for more until Visage has seen that they left.
    assert wait_for(lambda: spools(nginx) == 0 and spools(service) == 0)

    seen: list[tuple[int, int]] = []
    refusals: list[tuple[int, str]] = []

    def half_a_batch_is_on_one_disk() -> bool:
        with connect(nginx) as connection:
            connection.sendall(batch_head(MOST_BATCH) + bytes(MOST_BATCH // 2))
            while not select.select([connection], [], [], 0.02)[0]:
                seen.append((spools(service), spools(nginx)))
            # Nor does nginx wait where Visage does not.
            answer = answer_on(connection)
            refusals.append((answer.status, json.loads(answer.read())["code"]))
        return (1, 0) in seen

    assert wait_for(half_a_batch_is_on_one_disk)
    assert {on_its_own for _, on_its_own in seen} == {0}
    assert set(refusals) == {(408, "body_timeout")}


def test_a_batch_that_is_too_large_is_refused_before_it_comes(nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(batch_head(MOST_BATCH + 1) + bytes(10))
        answer = answer_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")


def test_what_takes_no_body_is_refused_with_one(service: Service, nginx: Service) -> None:
    with connect(nginx) as connection:
        connection.sendall(head("/nothing", 20_000) + bytes(10))
        answer = answer_on(connection)

        assert (answer.status, json.load(answer)["code"]) == (413, "body_too_large")
    assert spools(nginx) == 0


def test_a_batch_is_handed_in_and_fetched(nginx: Service, tiny_png: bytes) -> None:
    archive = packed(*[(f"{number}.png", tiny_png) for number in range(5)])

    batch_id = submit(nginx, ("photos.zip", archive), method="solid")

    assert finished(nginx, batch_id)["done"] == 5
    assert len(result(nginx, batch_id)) == 5
    assert requests.delete(f"{nginx.url}/batches/{batch_id}", timeout=60).status_code == 204


def test_events_come_at_once(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    idle = serving(tmp_path / "visage.log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0")
    with idle as service, proxied(tmp_path, port_of(service)) as nginx:
        batch_id = submit(nginx, ("a.png", tiny_png))

        with requests.get(f"{nginx.url}/batches/{batch_id}/events", stream=True, timeout=60) as stream:
            # Nobody works on the batch: nothing would push the first event out of a buffer.
            lines = stream.iter_lines()
            assert "event: progress" in [next(lines).decode() for _ in range(3)]


def test_an_answer_that_is_read_slowly_arrives_whole_and_is_in_no_file(nginx: Service) -> None:
    photo = encode(np.random.default_rng(1).integers(0, 256, (580, 580, 3), np.uint8), "BMP")
    assert MOST_BODY - 50_000 < len(photo) < MOST_BODY
    received = bytearray()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port_of(nginx)))
        connection.sendall(head("/anonymize", len(photo)).replace(b"Host", b"Connection: close\r\nHost") + photo)
        while piece := connection.recv(30_000):
            received += piece
            time.sleep(0.001)
            assert spools(nginx) == 0

    response_head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert response_head.startswith(b"HTTP/1.1 200 ")
    assert len(body) == len(photo)


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        pytest.param(b"What is this?\r\n\r\n", 400, "bad_request", id="no HTTP"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request", id="no host"),
        pytest.param(b"GET /?" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address_too_long", id="address"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431, "headers_too_long", id="headers"
        ),
    ],
)
def test_what_nginx_refuses_looks_as_if_visage_had(
    nginx: Service, request_bytes: bytes, status: int, code: str
) -> None:
    with connect(nginx) as connection:
        connection.sendall(request_bytes)
        answer = answer_on(connection)
        body = json.load(answer)

    assert (answer.status, body["code"]) == (status, code)
    assert set(body) == {"error", "code"}
    assert answer.headers["Content-Type"] == "application/json"


def test_without_an_instance_callers_are_told_to_come_back_and_are_served_once_there_is_one(
    service: Service, tmp_path: Path, tiny_png: bytes
) -> None:
    names = NameServer(NOWHERE)
    with proxied(tmp_path, port_of(service), names) as nginx:
        answer = nginx.post(tiny_png)
        assert_refused_as_visage_would(answer, 503, "not_ready")
        assert answer.headers["Retry-After"] == "5"

        names.addresses = ("127.0.0.1",)

        assert wait_for(lambda: nginx.post(tiny_png).status_code == 200)


def test_photos_go_to_the_instances_that_can_be_reached(service: Service, tmp_path: Path, tiny_png: bytes) -> None:
    with proxied(tmp_path, port_of(service), NameServer("127.0.0.1", NOWHERE)) as nginx:
        # nginx begins with either of them, by chance.
        statuses = []

        def one_was_tried_in_vain() -> bool:
            statuses.append(nginx.post(tiny_png).status_code)
            return "502, 200" in [line["upstream_status"] for line in log_lines(nginx)]

        assert wait_for(one_was_tried_in_vain)
    assert set(statuses) == {200}


@pytest.mark.parametrize("sent", ["caller-1", "not acceptable", None])
def test_one_id_is_in_the_answer_and_in_both_logs(service: Service, nginx: Service, sent: str | None) -> None:
    headers = {"X-Request-ID": sent} if sent else {}

    told = requests.post(nginx.url + "/predict", data=b"x", headers=headers, timeout=60).headers["X-Request-ID"]

    assert (told == sent) == (sent == "caller-1")
    assert wait_for(lambda: told in [line["request_id"] for line in log_lines(nginx)])
    assert wait_for(lambda: f'"request_id":"{told}"' in service.log.read_text())


def test_the_log_has_neither_ids_of_batches_nor_what_callers_write(nginx: Service, tiny_png: bytes) -> None:
    batch_id = submit(nginx, ("grandmother.png", tiny_png))
    for path in (f"/batches/{batch_id}", f"/batches/{batch_id}/events", "/of/callers?secret=kept"):
        requests.get(nginx.url + path, headers={"User-Agent": "caller", "Referer": path}, timeout=60)

    # The line comes after the answer.
    asked = {"/batches/<batch_id>", "/batches/<batch_id>/events", "unknown"}
    assert wait_for(lambda: asked <= {line["route"] for line in log_lines(nginx)})
    text = nginx.log.read_text() + (nginx.log.parent / "errors").read_text()
    assert not [word for word in (batch_id, "grandmother", "callers", "secret", "127.0.0.1") if word in text]


def test_visage_is_told_who_asks_for_whom_and_how(tmp_path: Path) -> None:
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
def test_https_and_http_2_are_spoken_where_there_is_a_certificate(
    service: Service, tmp_path: Path, tiny_png: bytes
) -> None:
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
        moved = requests.get(f"http://127.0.0.1:{plain_port(nginx)}/docs?x", allow_redirects=False, timeout=60)

    assert len(answer.json()["faces"]) == 3
    assert (moved.status_code, moved.headers["Location"]) == (301, "https://127.0.0.1/docs?x")
    # Its examples are to be run as they stand there.
    assert nginx.url + "/predict" in page.text
    assert by_curl.stdout == page.text + "2"
