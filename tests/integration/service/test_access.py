"""Who can reach the service: only this machine by default, and no web pages of other origins."""

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service import Service, events, free_port, serving
from tests.support.waiting import wait_for

ALL_ADDRESSES = "0.0.0.0"

# Another address of this machine, which a service on 127.0.0.1 does not listen on.
OTHER_ADDRESS = "127.0.0.2"


@pytest.fixture(scope="module")
def strict(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the default hosts."""
    log = tmp_path_factory.mktemp("strict") / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_ALLOWED_HOSTS="") as service:
        yield service


def connects(service: Service, address: str) -> bool:
    try:
        socket.create_connection((address, int(service.url.rpartition(":")[2])), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


def warnings(log: Path) -> list[str]:
    return [each["reason"] for each in events(log) if each["event"] == "no_token"]


def test_by_default_only_this_machine_can_connect(tiny_pack: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_HOST="") as service:
        assert connects(service, "127.0.0.1")
        assert not connects(service, OTHER_ADDRESS)

    assert warnings(log) == []


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::", "[::]"])
def test_the_service_listens_on_ipv6(tiny_pack: Path, tmp_path: Path, host: str) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_HOST=host) as service:
        assert connects(service, "::1")


def test_a_start_on_all_addresses_without_a_token_warns_once(tiny_pack: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="2", VISAGE_HOST=ALL_ADDRESSES) as service:
        assert connects(service, OTHER_ADDRESS)
        service.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: log.read_text().count("Booting worker") >= 5)

    (reason,) = warnings(log)
    assert reason.startswith(f"Anyone who can reach {ALL_ADDRESSES}:")
    assert "VISAGE_API_TOKEN" in reason


def test_metrics_on_a_public_address_without_a_token_are_warned_of(tiny_pack: Path, tmp_path: Path) -> None:
    log, address = tmp_path / "log", f"{ALL_ADDRESSES}:{free_port()}"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_METRICS=address):
        pass

    (reason,) = warnings(log)
    assert reason.startswith(f"Anyone who can reach {address} can use")


def test_a_start_on_all_addresses_with_a_token_warns_of_nothing(tiny_pack: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", VISAGE_HOST=ALL_ADDRESSES, VISAGE_API_TOKEN="s3cret"):
        pass

    assert warnings(log) == []


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param("Host: localhost\r\nOrigin: https://evil.example\r\n", 403, "cross_site", id="origin"),
        pytest.param("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403, "cross_site", id="site"),
        pytest.param("Host: evil.example\r\nOrigin: http://evil.example\r\n", 421, "host_not_allowed", id="rebinding"),
    ],
)
def test_a_batch_of_another_page_is_rejected_before_its_body_arrives(
    strict: Service, head: str, status: int, code: str
) -> None:
    request = f"POST /batches HTTP/1.1\r\n{head}Content-Type: application/zip\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(strict.url.rpartition(":")[2])), timeout=60) as client:
        client.sendall(request.encode() + b"PK")
        response = b"".join(iter(lambda: client.recv(2**16), b""))

    assert response.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(response.partition(b"\r\n\r\n")[2])["code"] == code
