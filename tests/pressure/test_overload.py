"""Five times as many photos as can be answered: as many are answered as ever, in bounded time, the rest are told so.

The clients have a processor for themselves and the service has the others, so that neither takes from the other what
is measured. The speed of a machine moves while it is measured: overload comes in turns with its absence, and rates are
those of all turns.
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
TIMES = 5
ENOUGH = 0.9
TURNS = 4
SECONDS = 5.0

# What all turns together say is that exact in about nine of ten cases: a service that falls short does so every time.
MOST_ATTEMPTS = 3

PHOTO = photos.jpeg(photos.two_faces())

# Those that work or wait, and as many again and more for those that are refused, told so and come back.
ADMITTED = WORKERS * (Settings().slots + Settings().queue)
CLIENTS = ADMITTED + 30

# Health is asked for so often, in seconds.
HEALTH_EVERY = 0.15


@dataclass(frozen=True)
class Trial:
    """One photo that was offered, `began` seconds into the turn: status or error, and after how many more `seconds`."""

    began: float
    outcome: int | str
    seconds: float


@dataclass(frozen=True)
class Overload:
    """What came of it. `peak` is the rate of answers without overload; `health` are seconds.

    Photos were offered for `offering` seconds, and it took `seconds` until the last answer.
    """

    peak: float
    offering: float
    seconds: float
    trials: list[Trial] = field(repr=False)
    health: list[float] = field(repr=False)

    @property
    def rate(self) -> float:
        """Photos answered a second."""
        return self.outcomes[200] / self.seconds

    @property
    def outcomes(self) -> Counter[int | str]:
        return Counter(trial.outcome for trial in self.trials)

    @property
    def latencies(self) -> list[float]:
        """Of the photos that were answered, sorted."""
        return sorted(trial.seconds for trial in self.trials if trial.outcome == 200)

    @property
    def queue_seconds(self) -> float:
        """What a worker takes for all the photos that it admits, and one more, at its share of the peak."""
        return (ADMITTED / WORKERS + 1) / (self.peak / WORKERS)


@contextmanager
def on_processors(chosen: set[int]) -> Iterator[None]:
    """Processes and threads that begin inside stay on these processors."""
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
        while attempts[-1].rate <= ENOUGH * attempts[-1].peak and len(attempts) < MOST_ATTEMPTS:
            attempts.append(measure(service))
        yield attempts[-1]


def measure(service: Service) -> Overload:
    """Overload in turns with its absence, which comes first and last."""
    peaks, turns = [peak(service, SECONDS)], []
    for _ in range(TURNS):
        turns.append(offer(service, TIMES * peaks[-1]))
        peaks.append(peak(service, SECONDS))
    health, trials, seconds = zip(*turns, strict=True)
    offering = sum(max(trial.began for trial in turn) for turn in trials)
    # A turn lies between two peaks, and those at the ends have but one neighbour.
    mean = fmean(peaks, weights=[1, *[2] * (TURNS - 1), 1])
    return Overload(mean, offering, sum(seconds), list(chain(*trials)), sorted(chain(*health)))


def peak(service: Service, seconds: float) -> float:
    """Photos answered a second to as many clients as keep it busy."""
    return put_under_load(f"{service.url}/predict", PHOTO, connections=4, seconds=seconds).rate


def offer(service: Service, rate: float) -> tuple[list[float], list[Trial], float]:
    """Offer `rate` photos a second: seconds that health took meanwhile, what came of the photos, seconds in all."""
    turns = count()
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other_process,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        # The process is there before the photos come.
        other_process.submit(ask_for_health, service.url, 0).result()
        health = other_process.submit(ask_for_health, service.url, SECONDS)
        began = time.perf_counter()
        clients = [pool.submit(offer_in_turn, service.url, rate, turns, began) for _ in range(CLIENTS)]
        trials = [trial for client in clients for trial in client.result()]
        return health.result(), trials, time.perf_counter() - began


def offer_in_turn(url: str, rate: float, turns: Iterator[int], began: float) -> list[Trial]:
    """Whoever has got an answer, of any kind, takes the next turn; turns come at `rate`, whatever the answers."""
    body, headers = form(PHOTO)
    request = Request("photo", body, headers | {"Accept": "image/jpeg"})
    trials = []
    with closing(connect(url)) as connection:
        for turn in turns:
            if turn / rate > SECONDS:
                break
            time.sleep(max(0.0, began + turn / rate - time.perf_counter()))
            sent = time.perf_counter()
            try:
                outcome: int | str = ask(connection, request).status
            except (OSError, HTTPException) as error:
                connection.close()
                outcome = repr(error)
            trials.append(Trial(sent - began, outcome, time.perf_counter() - sent))
    return trials


def ask_for_health(url: str, seconds: float) -> list[float]:
    """How long `/healthz` took each time, on new connections."""
    taken = []
    end = time.perf_counter() + seconds
    while (sent := time.perf_counter()) < end:
        with closing(connect(url)) as connection:
            status = ask(connection, Request("health", path="/healthz", method="GET")).status
        taken.append(time.perf_counter() - sent if status == 200 else float("inf"))
        time.sleep(HEALTH_EVERY)
    return taken


def test_five_times_as_many_photos_as_can_be_answered_were_offered(overload: Overload) -> None:
    assert len(overload.trials) / overload.offering > 0.9 * TIMES * overload.peak


def test_each_photo_is_answered_or_refused_in_due_form(overload: Overload) -> None:
    assert {200, 429} <= overload.outcomes.keys() <= {200, 429, 503}


def test_as_many_photos_are_answered_as_without_overload(overload: Overload) -> None:
    assert overload.rate > ENOUGH * overload.peak


def test_health_is_told_within_a_tenth_of_a_second(overload: Overload) -> None:
    assert len(overload.health) > 100
    assert overload.health[int(0.99 * len(overload.health))] < 0.1


def test_no_answer_takes_longer_than_the_queue(overload: Overload) -> None:
    # Workers do not get the same share, and a photo that waits may be overtaken.
    assert overload.latencies[len(overload.latencies) // 2] < 1.5 * overload.queue_seconds
    assert overload.latencies[-1] < 4 * overload.queue_seconds
