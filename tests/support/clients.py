"""Clients that keep a service busy, or read slowly."""

import http.client
import socket
import threading
from collections import Counter

from benchmarks.support.load import multipart
from tests.support.service import Service

# A longer queue timeout than the default, for slow test machines.
PATIENCE = {"VISAGE_WAIT_SECONDS": "60"}


def connect_slow_reader(service: Service) -> socket.socket:
    """A client with a receive buffer of 4 KB."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(service.url.rpartition(":")[2])))
    return client


class Clients:
    """Threads that post photos in a loop. `outcomes` counts statuses, and names of connection errors."""

    def __init__(self, service: Service, photo: bytes, count: int, *, keep: bool) -> None:
        self.outcomes: Counter[int | str] = Counter()
        self._port = int(service.url.rpartition(":")[2])
        self._body, self._boundary = multipart(photo)
        self._keep = keep
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        headers = {"Content-Type": f"multipart/form-data; boundary={self._boundary.decode()}"}
        if not self._keep:
            headers["Connection"] = "close"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stopped.is_set():
            try:
                connection.request("POST", "/predict?annotated=false", self._body, headers)
                answer = connection.getresponse()
                answer.read()
                self.outcomes[answer.status] += 1
            except ConnectionRefusedError:
                break
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
                connection.close()
        connection.close()
