"""Posts one photo over kept-alive connections for some seconds, and times every response."""

import math
import re
import socket
import threading
import time
import urllib.parse
import uuid
from collections import Counter
from dataclasses import dataclass, field

Responses = Counter[int | str]

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


@dataclass(frozen=True)
class Load:
    """The result: sorted `latencies` in seconds of responses with status 200, and the number of responses by status or
    by name of the error.

    `corrupt` counts responses with status 200 that differ from the first one.
    """

    seconds: float
    latencies: list[float]
    responses: Responses
    corrupt: int

    @property
    def rate(self) -> float:
        """Correct responses per second."""
        return (len(self.latencies) - self.corrupt) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency in seconds of that percentage of the responses with status 200; NaN if there was none."""
        if not self.latencies:
            return math.nan
        return self.latencies[min(len(self.latencies) - 1, int(percent / 100 * len(self.latencies)))]


@dataclass
class _Record:
    latencies: list[float] = field(default_factory=list)
    responses: Responses = field(default_factory=Counter)
    corrupt: int = 0


def post(url: str, photo: bytes) -> bytes:
    """Post one photo and return the annotated image."""
    connection = _Connection(url)
    status, content = connection.exchange(_request(url, photo))
    connection.close()
    if status != 200:
        raise RuntimeError(f"{url} returned {status}: {content[:200]!r}")
    return content


def put_under_load(url: str, photo: bytes, connections: int, seconds: float) -> Load:
    """Post requests in sequence over each of `connections` for `seconds`, at least one each.

    Every image is compared with that of a request before the load.
    """
    expected = post(url, photo)
    records = [_Record() for _ in range(connections)]
    began = time.perf_counter()
    clients = [
        threading.Thread(target=_post_until, args=(began + seconds, url, photo, expected, each)) for each in records
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    elapsed = time.perf_counter() - began
    latencies = sorted(latency for record in records for latency in record.latencies)
    responses = sum((record.responses for record in records), Counter[int | str]())
    return Load(elapsed, latencies, responses, sum(record.corrupt for record in records))


def multipart(photo: bytes) -> tuple[bytes, bytes]:
    """A form with the photo as its only field, and its boundary."""
    boundary = uuid.uuid4().hex.encode()
    head = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"--" + boundary + b"\r\n" + head + photo + b"\r\n--" + boundary + b"--\r\n", boundary


def _request(url: str, photo: bytes) -> bytes:
    target = urllib.parse.urlsplit(url)
    body, boundary = multipart(photo)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.netloc}",
        f"Content-Length: {len(body)}",
        f"Content-Type: multipart/form-data; boundary={boundary.decode()}",
        "Accept: image/jpeg",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _post_until(end: float, url: str, photo: bytes, expected: bytes, record: _Record) -> None:
    request, connection = _request(url, photo), _Connection(url)
    ended = False
    while not ended:
        began = time.perf_counter()
        try:
            status, content = connection.exchange(request)
        except OSError as error:
            record.responses[type(error).__name__] += 1
            connection.close()
        else:
            record.responses[status] += 1
            if status == 200:
                record.latencies.append(time.perf_counter() - began)
                record.corrupt += content != expected
        ended = time.perf_counter() >= end
    connection.close()


class _Connection:
    """A kept-alive connection on a plain socket.

    The client shares the processors with the service. http.client used 0.6 ms per request, the service 25 ms.
    """

    def __init__(self, url: str) -> None:
        target = urllib.parse.urlsplit(url)
        self._address = (target.hostname or "", target.port or 80)
        self._socket: socket.socket | None = None

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body of the response, which needs a Content-Length."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=60)
        self._socket.sendall(request)
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            self._receive_into(received)
        head = bytes(received[:end]).lower()
        length = _LENGTH.search(head)
        if not length:
            raise ConnectionError(f"a response without a Content-Length: {head!r}")
        total = end + 4 + int(length[1])
        while len(received) < total:
            self._receive_into(received)
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head.split(None, 2)[1]), bytes(received[end + 4 : total])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _receive_into(self, received: bytearray) -> None:
        assert self._socket is not None
        chunk = self._socket.recv(2**18)
        if not chunk:
            raise ConnectionResetError("the connection was closed before the response was complete")
        received += chunk
