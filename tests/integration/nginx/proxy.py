"""nginx with the configuration in deploy/nginx, with names and paths of this machine."""

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.service import Service, free_port
from tests.support.waiting import wait_for

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs the command nginx (Debian's package nginx-light)")
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


def replaced(text: str, replacements: dict[str, str]) -> str:
    """`text` with all names replaced in one pass, because a replacement may contain another name."""
    assert all(name in text for name in replacements)
    return re.sub("|".join(map(re.escape, replacements)), lambda found: replacements[found[0]], text)


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def plain_port(nginx: Service) -> int:
    configuration = (nginx.log.parent / "nginx.conf").read_text()
    return int(re.findall(r"listen 127\.0\.0\.1:(\d+);", configuration)[0])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
