"""At five times its capacity, the service processes as many photos as without overload, and rejects the others.

Clients and service run on different processors, so that they do not slow each other down. The speed of a machine varies
during a measurement, so phases with and without overload alternate, and rates are averages of all phases.
"""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import chain, count
from statistics import fmean

import pytest

from benchmarks.support import photos
from benchmarks.support.load import put_under_load
from tests.pressure.exchange import Request, ask, connect, form
from tests.support.service import Service, serving
from visage.settings import Settings

WORKERS = 2
OVERLOAD = 5
MIN_SHARE = 0.9
PHASES = 4
SECONDS = 5.0

# The average of all phases is exact enough in nine of ten cases. A service that is too slow fails every attempt.
MAX_ATTEMPTS = 3

PHOTO = photos.jpeg(photos.two_faces())

# Photos in slots and queues. The clients beyond this number are rejected, and try again.
ADMITTED = WORKERS * (Settings().slots + Settings().queue)
CLIENTS = ADMITTED + 30

# Seconds between two health checks.
HEALTH_INTERVAL = 0.15


@dataclass(frozen=True)
class Trial:
    """One photo, sent `started` seconds into the phase: its status or error, and the seconds until then."""

    started: float
    outcome: int | str
    seconds: float


@dataclass(frozen=True)
class Overload:
    """The measurement. `peak` is the photos a second without overload, `health` the seconds of each health check.

    Photos were sent for `sending` seconds, and the last response arrived after `seconds`.
    """

    peak: float
    sending: float
    seconds: float
    trials: list[Trial] = field(repr=False)
    health: list[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Processed photos a second."""
        return self.outcomes[200] / self.seconds

    @property
    def outcomes(self) -> Counter[int | str]:
        return Counter(trial.outcome for trial in self.trials)

    @property
    def latencies(self) -> list[float]:
        """Seconds of the processed photos, sorted."""
        return sorted(trial.seconds for trial in self.trials if trial.outcome == 200)

    @property
    def queue_seconds(self) -> float:
        """Seconds for all photos that a worker admits, and one more, at its share of the peak."""
        return (ADMITTED / WORKERS + 1) / (self.peak / WORKERS)


@contextmanager
def on_processors(chosen: set[int]) -> Iterator[None]:
    """Bind processes and threads that start in the block to these processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def overload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overload]:
    own, *others = sorted(os.sched_getaffinity(0))
    if not others:
        pytest.skip("needs two processors: one for the clients, the others for the service")
    log = tmp_path_factory.mktemp("overload") / "log"
    with (
        on_processors(set(others)),
        serving(log, "compact", WEB_CONCURRENCY=str(WORKERS)) as service,
        on_processors({own}),
    ):
        peak(service, 2)
        attempts = [measure(service)]
        while attempts[-1].rate <= MIN_SHARE * attempts[-1].peak and len(attempts) < MAX_ATTEMPTS:
            attempts.append(measure(service))
        yield attempts[-1]


def measure(service: Service) -> Overload:
    """Alternate phases without and with overload. The first and the last are without."""
    peaks, phases = [peak(service, SECONDS)], []
    for _ in range(PHASES):
        phases.append(offer(service, OVERLOAD * peaks[-1]))
        peaks.append(peak(service, SECONDS))
    health, trials, seconds = zip(*phases, strict=True)
    sending = sum(max(trial.started for trial in phase) for phase in trials)
    # Each phase with overload has a peak on either side; the outer peaks belong to one phase only.
    mean = fmean(peaks, weights=[1, *[2] * (PHASES - 1), 1])
    return Overload(mean, sending, sum(seconds), list(chain(*trials)), sorted(chain(*health)))


def peak(service: Service, seconds: float) -> float:
    """Processed photos a second with enough clients to keep the service busy."""
    return put_under_load(f"{service.url}/predict", PHOTO, connections=4, seconds=seconds).rate


def offer(service: Service, rate: float) -> tuple[list[float], list[Trial], float]:
    """Send `rate` photos a second. Return the seconds of health checks, the trials, and the seconds in total."""
    turns = count()
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other_process,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        # Start the process before the photos.
        other_process.submit(check_health, service.url, 0).result()
        health = other_process.submit(check_health, service.url, SECONDS)
        started = time.perf_counter()
        clients = [pool.submit(offer_in_turn, service.url, rate, turns, started) for _ in range(CLIENTS)]
        trials = [trial for client in clients for trial in client.result()]
        return health.result(), trials, time.perf_counter() - started


def offer_in_turn(url: str, rate: float, turns: Iterator[int], started: float) -> list[Trial]:
    """Send a photo for each turn, as one of many clients. Turns come at `rate`, whatever the responses are."""
    body, headers = form(PHOTO)
    request = Request("photo", body, headers | {"Accept": "image/jpeg"})
    trials = []
    with closing(connect(url)) as connection:
        for turn in turns:
            if turn / rate > SECONDS:
                break
            time.sleep(max(0.0, started + turn / rate - time.perf_counter()))
            sent = time.perf_counter()
            try:
                outcome: int | str = ask(connection, request).status
            except (OSError, HTTPException) as error:
                connection.close()
                outcome = repr(error)
            trials.append(Trial(sent - started, outcome, time.perf_counter() - sent))
    return trials


def check_health(url: str, seconds: float) -> list[float]:
    """The seconds of each `/healthz` request, on new connections; infinity for a failed one."""
    taken = []
    end = time.perf_counter() + seconds
    while (sent := time.perf_counter()) < end:
        with closing(connect(url)) as connection:
            status = ask(connection, Request("health", path="/healthz", method="GET")).status
        taken.append(time.perf_counter() - sent if status == 200 else float("inf"))
        time.sleep(HEALTH_INTERVAL)
    return taken


def test_five_times_the_capacity_was_sent(overload: Overload) -> None:
    assert len(overload.trials) / overload.sending > 0.9 * OVERLOAD * overload.peak


def test_each_photo_is_processed_or_rejected(overload: Overload) -> None:
    assert {200, 429} <= overload.outcomes.keys() <= {200, 429, 503}


def test_as_many_photos_are_processed_as_without_overload(overload: Overload) -> None:
    assert overload.rate > MIN_SHARE * overload.peak


def test_health_checks_take_less_than_a_tenth_of_a_second(overload: Overload) -> None:
    assert len(overload.health) > 100
    assert overload.health[int(0.99 * len(overload.health))] < 0.1


def test_no_response_takes_longer_than_the_queue(overload: Overload) -> None:
    # Workers get different shares of the photos, and a waiting photo may be overtaken.
    assert overload.latencies[len(overload.latencies) // 2] < 1.5 * overload.queue_seconds
    assert overload.latencies[-1] < 4 * overload.queue_seconds
