"""Memory, open files and threads of the service do not grow, and the test finds artificial leaks."""

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pytest

from benchmarks.support import photos
from tests.pressure.exchange import Request, ask, connect, form
from tests.support.container import of_the_checkout
from tests.support.pictures import GIF, encode
from tests.support.processes import resident, workers
from tests.support.service import Service, serving
from visage.runtime.engine import Engine

# More megabytes than this in the second half of ten thousand requests are a leak: a kilobyte a request.
MAX_GROWTH = 5

CONNECTIONS = 6

# Parallel requests that make the service start all its threads, and allocate their memory, before the measurement.
BURST = 48

LEAKS = ("memory", "files", "threads")


@dataclass(frozen=True)
class Usage:
    """The memory of all processes, and the open files and threads of each: the master and its workers."""

    megabytes: float
    files: dict[int, int]
    threads: dict[int, int]

    @classmethod
    def of(cls, service: Service) -> "Usage":
        processes = [service.master, *workers(service)]
        return cls(
            sum(resident(process) for process in processes),
            {process: len(list(Path(f"/proc/{process}/fd").iterdir())) for process in processes},
            {process: len(list(Path(f"/proc/{process}/task").iterdir())) for process in processes},
        )


def grown(samples: Sequence[Usage]) -> list[str]:
    """The resources that grow over the second half of `samples`."""
    late = samples[len(samples) // 2 - 1 :]
    flat = {
        "memory": late[-1].megabytes - late[0].megabytes < MAX_GROWTH,
        "files": all(sample.files == late[0].files for sample in late),
        "threads": all(sample.threads == late[0].threads for sample in late),
    }
    return [name for name in flat if not flat[name]]


def mixture() -> list[Request]:
    """Small photos of several sizes and formats, for JSON and for images. Every fourth request is invalid."""
    portrait, pair = photos.portrait(), photos.two_faces()
    half, head = portrait[::2, ::2], portrait[0:260:2, 90:350:2]
    photo = photos.jpeg(half)
    good = [
        Request("portrait", *form(photo)),
        Request("portrait without picture", *form(photo), path="/predict?annotated=false"),
        Request("head as a picture", *form(photos.jpeg(head)), path="/analyze"),
        Request("head as both", *form(encode(head, "PNG"), format="both", detail="fast")),
        Request("WebP", *form(encode(half, "WEBP"))),
        Request("raw BMP", encode(head, "BMP"), {"Content-Type": "image/bmp"}, path="/predict?detail=fast"),
        Request("no face", *form(photos.jpeg(half[150:])), path="/predict?detail=fast"),
        Request("pair", *form(photos.jpeg(pair[::3, ::3])), path="/predict?annotated=false"),
        Request("health", path="/healthz", method="GET"),
    ]
    bad = [
        Request("half a photo", *form(photo[: len(photo) // 2]), status=422),
        Request("GIF", *form(GIF), status=415),
        Request("bad parameter", *form(photo), path="/predict?max_faces=0", status=400),
        Request("no photo", *form(b""), status=400),
        Request("wrong address", *form(photo), path="/nowhere", status=404),
    ]
    turns = zip(*(cycle(each) for each in (good, good[3:] + good[:3], good[6:] + good[:6], bad)), strict=True)
    return [request for turn in islice(turns, len(good) * len(bad)) for request in turn]


def ask_all(url: str, requests: Sequence[Request]) -> None:
    """Send on a kept connection, and every fifth request on a new one."""
    with closing(connect(url)) as kept:
        for place, request in enumerate(requests):
            if place % 5:
                assert ask(kept, request).status == request.status, request.name
            else:
                with closing(connect(url)) as new:
                    assert ask(new, request).status == request.status, request.name


def send(service: Service, requests: Sequence[Request], connections: int = CONNECTIONS) -> None:
    with ThreadPoolExecutor(connections) as pool:
        clients = [pool.submit(ask_all, service.url, requests[number::connections]) for number in range(connections)]
        for client in clients:
            client.result()


def soak(service: Service, requests: int, step: int) -> list[Usage]:
    """Send so many requests, and return the usage after each `step` of them, once the service is idle."""
    endless = cycle(mixture())
    samples = []
    for _ in range(requests // step):
        send(service, list(islice(endless, step)))
        samples.append(idle_usage(service))
    return samples


def idle_usage(service: Service) -> Usage:
    """The usage once it no longer changes: the service has closed the connections that clients have closed."""
    usage = Usage.of(service)
    for _ in range(100):
        time.sleep(0.5)
        before, usage = usage, Usage.of(service)
        if (usage.files, usage.threads) == (before.files, before.threads):
            break
    return usage


@pytest.fixture
def leaking(request: pytest.FixtureRequest, tiny_pack: Path, tmp_path: Path) -> Iterator[Service]:
    command = ("-m", "gunicorn", "tests.pressure.leaking:app")
    with serving(tmp_path / "log", tiny_pack, *command, LEAK=request.param, **SETTINGS) as service:
        start_all_threads(service)
        yield service


# The queue has room for a burst, so that no request is rejected.
SETTINGS = {"WEB_CONCURRENCY": "2", "VISAGE_QUEUE": str(BURST), "VISAGE_WAIT_SECONDS": "60"}


def start_all_threads(service: Service) -> None:
    """Make every worker start all its threads."""
    for _ in range(3):
        send(service, [mixture()[0]] * BURST * 4, BURST)


def test_nothing_grows_over_ten_thousand_requests(tmp_path: Path) -> None:
    with serving(tmp_path / "log", "compact", **SETTINGS) as service:
        start_all_threads(service)

        samples = soak(service, requests=10_000, step=500)

        assert grown(samples) == [], samples


@of_the_checkout("the leaking app is one of the tests, which the image does not contain")
@pytest.mark.parametrize("leaking", ["none"], indirect=True)
def test_nothing_grows_in_the_leaking_service_without_a_leak(leaking: Service) -> None:
    assert grown(soak(leaking, requests=2000, step=200)) == []


@of_the_checkout("the leaking app is one of the tests, which the image does not contain")
@pytest.mark.parametrize(("leaking", "kind"), [(kind, kind) for kind in LEAKS], indirect=["leaking"], ids=LEAKS)
def test_a_leak_is_found(leaking: Service, kind: str) -> None:
    assert grown(soak(leaking, requests=2000, step=200)) == [kind]


def test_a_photo_leaves_no_object_allocated() -> None:
    engine = Engine()
    photo = photos.jpeg(photos.portrait()[::2, ::2])

    def objects_after(count: int) -> int:
        for _ in range(count):
            engine.analyze(photo)
        gc.collect()
        return sys.getallocatedblocks()

    before = objects_after(100)

    # The memory of processes shows leaks of a few bytes a photo only after hours.
    assert objects_after(500) - before < 100
