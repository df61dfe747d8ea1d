"""Posts one photo over kept-alive connections for some seconds and times every answer."""

import http.client
import math
import threading
import time
import urllib.parse
import uuid
from collections import Counter
from dataclasses import dataclass, field

Answers = Counter[int | str]


@dataclass(frozen=True)
class Load:
    """What came of it: `latencies` in seconds of the answers with status 200, sorted; answers by status or error.

    `broken` counts answers with status 200 that differ from the first one.
    """

    seconds: float
    latencies: list[float]
    answers: Answers
    broken: int

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (len(self.latencies) - self.broken) / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds within which that part of the answers with status 200 came; not a number if there was none."""
        if not self.latencies:
            return math.nan
        return self.latencies[min(len(self.latencies) - 1, int(percent / 100 * len(self.latencies)))]


@dataclass
class _Record:
    latencies: list[float] = field(default_factory=list)
    answers: Answers = field(default_factory=Counter)
    broken: int = 0


def post(url: str, photo: bytes) -> bytes:
    """One photo for one annotated picture."""
    target = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    connection.request("POST", target.path, *_request(photo))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{url} answered {answer.status}: {content[:200]!r}")
    return content


def put_under_load(url: str, photo: bytes, connections: int, seconds: float) -> Load:
    """Each of `connections` posts one request after the other, one at least, for so many `seconds`.

    Every picture is compared with that of a quiet call.
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
    answers = sum((record.answers for record in records), Counter[int | str]())
    return Load(elapsed, latencies, answers, sum(record.broken for record in records))


def multipart(photo: bytes) -> tuple[bytes, bytes]:
    """A form with the photo as its only field, and the boundary of it."""
    boundary = uuid.uuid4().hex.encode()
    head = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"--" + boundary + b"\r\n" + head + photo + b"\r\n--" + boundary + b"--\r\n", boundary


def _request(photo: bytes) -> tuple[bytes, dict[str, str]]:
    body, boundary = multipart(photo)
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}", "Accept": "image/jpeg"}


def _post_until(end: float, url: str, photo: bytes, expected: bytes, record: _Record) -> None:
    target = urllib.parse.urlsplit(url)
    body, headers = _request(photo)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
    ended = False
    while not ended:
        began = time.perf_counter()
        try:
            connection.request("POST", target.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            record.answers[type(error).__name__] += 1
            connection.close()
        else:
            record.answers[answer.status] += 1
            if answer.status == 200:
                record.latencies.append(time.perf_counter() - began)
                record.broken += content != expected
        ended = time.perf_counter() >= end
    connection.close()
