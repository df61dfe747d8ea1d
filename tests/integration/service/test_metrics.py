"""The metrics count the responses of all workers, including those that stopped."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support.processes import complete, workers
from tests.support.service import Service, serving
from tests.support.waiting import wait_for

ANONYMIZED = 'visage_stage_duration_seconds_count{stage="cover"}'


def test_metrics_are_summed_over_the_workers(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="2") as service, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: service.post(tiny_png, "/anonymize"), range(16)))

        assert wait_for(lambda: f"{ANONYMIZED} 16.0" in requests.get(service.url + "/metrics", timeout=60).text)


def test_metrics_include_the_last_response_of_the_worker_that_serves_them(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        for count in range(1, 13):
            service.post(tiny_png, "/anonymize")
            assert f"{ANONYMIZED} {count}.0" in requests.get(service.url + "/metrics", timeout=60).text


def test_a_workers_responses_are_counted_without_a_request_for_its_metrics(
    tiny_pack: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    def value(directory: Path, name: str) -> float | None:
        """The value as another worker would read it."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
        return registry.get_sample_value(name)

    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", TMPDIR=str(tmp_path)) as service:
        service.post(tiny_png)
        (directory,) = tmp_path.glob("visage-metrics-*")

        assert wait_for(lambda: value(directory, "visage_faces_total") == 3)
        assert wait_for(lambda: value(directory, "visage_slots_busy") == 0)


def stop(service: Service, worker: int) -> None:
    """Stop a worker, and wait until it has ended."""
    os.kill(worker, signal.SIGTERM)
    assert wait_for(lambda: worker not in workers(service))


def test_a_worker_that_stops_counts_its_last_responses(tiny_pack: Path, tmp_path: Path, tiny_png: bytes) -> None:
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1") as service:
        # Three times, because the periodic update may come first.
        for _ in range(3):
            assert wait_for(lambda: complete(service, 1))
            (before,) = workers(service)
            service.post(tiny_png, "/anonymize")
            stop(service, before)
        assert wait_for(lambda: complete(service, 1))
        metrics = requests.get(service.url + "/metrics", timeout=60).text

    assert f"{ANONYMIZED} 3.0" in metrics
