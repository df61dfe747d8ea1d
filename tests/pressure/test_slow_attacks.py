"""The four attacks of slowhttptest, each on 200 connections: a normal client is served within a second."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from benchmarks.support import photos
from tests.pressure.exchange import Request, ask, connect, form
from tests.support.service import Service, serving

CONNECTIONS = 200

# slowhttptest opens 50 connections a second by default.
PAUSE = 1 / 50

# How long an attack lasts, and the pause between two bytes of a connection.
SECONDS = 8.0
INTERVAL = 1.0

NORMAL_SECONDS = 1.0

PAGE = b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n"
UPLOAD = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n"

# 1,300 overlapping ranges, as the range attack on Apache used them (CVE-2011-3192).
RANGES = b"Range: bytes=0-," + b",".join(b"5-%d" % end for end in range(1300))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("slow_attacks") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="2") as service:
        yield service


class Attack:
    """Connections that begin with the same bytes, and then go on as `step` does, once in each interval."""

    def __init__(self, service: Service, beginning: bytes, step: Callable[[socket.socket], object]) -> None:
        self._address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
        self._beginning = beginning
        self._step = step
        self._stack = ExitStack()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.opened = 0

    def __enter__(self) -> "Attack":
        self._sockets = [self._open() for _ in range(CONNECTIONS)]
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        went_on = self._thread.is_alive()
        self._over.set()
        self._thread.join()
        self._stack.close()
        assert went_on, "the attack has stopped by itself"

    def _open(self) -> socket.socket:
        client = socket.socket()
        try:
            # The slow reader's window, and as good as any other for the rest.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.connect(self._address)
            client.sendall(self._beginning)
        except OSError:
            client.close()
            raise
        self._stack.enter_context(client)
        client.settimeout(0)
        self.opened += 1
        time.sleep(PAUSE)
        return client

    def _go_on(self) -> None:
        while not self._over.wait(INTERVAL):
            for index, client in enumerate(self._sockets):
                try:
                    self._step(client)
                except BlockingIOError:
                    continue
                except OSError:
                    # Closed by the service: slowhttptest opens another one, and tries again if that fails.
                    client.close()
                    with suppress(OSError):
                        self._sockets[index] = self._open()


ATTACKS: dict[str, tuple[bytes, Callable[[socket.socket], object]]] = {
    "slow headers": (PAGE, lambda client: client.send(b"X-a: b\r\n")),
    "slow body": (UPLOAD + b"\r\n", lambda client: client.send(b"x")),
    "range": (PAGE + RANGES + b"\r\n\r\n", lambda client: client.recv(5)),
    "slow read": (3 * (PAGE + b"\r\n"), lambda client: client.recv(5)),
}


def serve_normally(service: Service, seconds: float) -> dict[str, list[float]]:
    """Send photos and health checks in turn, and return how long each took."""
    body, headers = form(photos.jpeg(photos.portrait()))
    normal = {
        "photo": Request("photo", body, headers),
        "health": Request("health", path="/healthz", method="GET"),
    }
    taken: dict[str, list[float]] = {kind: [] for kind in normal}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for kind, request in normal.items():
            started = time.monotonic()
            with closing(connect(service.url)) as connection:
                assert ask(connection, request).status == 200
            taken[kind].append(time.monotonic() - started)
        time.sleep(0.2)
    return taken


@pytest.mark.parametrize("name", ATTACKS)
def test_a_normal_client_is_served_within_a_second(service: Service, name: str) -> None:
    calm = serve_normally(service, SECONDS / 4)

    with Attack(service, *ATTACKS[name]) as attack:
        taken = serve_normally(service, SECONDS)

    assert attack.opened >= CONNECTIONS
    for kind, seconds in taken.items():
        assert len(seconds) > 5
        assert max(seconds) < NORMAL_SECONDS, (
            f"without the attack, the slowest {kind} took {max(calm[kind]):.2f} seconds"
        )
