"""Before a worker serves, it answers one self-test request, which leaves no trace in metrics or logs."""

from pathlib import Path

import pytest
import requests

from tests.support.service import serving

CONFIGURATIONS: dict[str, dict[str, str]] = {
    "the defaults": {},
    "a token": {"VISAGE_API_TOKEN": "a-token-that-is-long-enough"},
    "a cache": {"VISAGE_CACHE_BYTES": "1000000"},
    "the lowest limits": {"VISAGE_MAX_IMAGE_PIXELS": "1", "VISAGE_MAX_BODY_BYTES": "1024"},
    "no queue and no wait": {"VISAGE_QUEUE": "0", "VISAGE_WAIT_SECONDS": "0"},
    "several slots": {"VISAGE_SLOTS": "3"},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_worker_answers_one_self_test_request_that_is_not_counted(tiny_pack: Path, tmp_path: Path, name: str) -> None:
    alone = {"WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0", "VISAGE_LOG_LEVEL": "debug"}
    token = {"Authorization": f"Bearer {CONFIGURATIONS[name].get('VISAGE_API_TOKEN')}"}
    with serving(tmp_path / "log", tiny_pack, **alone, **CONFIGURATIONS[name]) as service:
        metrics = requests.get(service.url + "/metrics", headers=token, timeout=60).text
        log = service.log.read_text()

    assert log.count('"event":"self_test_passed"') == 1
    assert "self_test_failed" not in log
    assert "/predict" not in log
    for series in (
        'route="/predict"',
        "visage_stage_duration_seconds_count",
        'visage_cache_lookups_total{outcome="miss"} 1',
    ):
        assert series not in metrics


def test_a_failed_self_test_is_logged_and_the_worker_serves(tiny_pack: Path, tmp_path: Path) -> None:
    # The limit admits `GET /readyz HTTP/1.1`, but not the self-test.
    rejecting = {"GUNICORN_CMD_ARGS": "--limit-request-line 21", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "log", tiny_pack, **rejecting) as service:
        log = service.log.read_text()

    assert '"event":"self_test_failed","reason":"HTTP/1.1 414 ' in log


def test_the_self_test_does_not_count_towards_max_requests(tiny_pack: Path, tmp_path: Path) -> None:
    recycled = {"GUNICORN_CMD_ARGS": "--max-requests 2", "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}
    with serving(tmp_path / "log", tiny_pack, **recycled) as service:
        # /readyz was the first request.
        assert "Autorestarting" not in service.log.read_text()

        requests.get(service.url + "/healthz", timeout=60).raise_for_status()

        assert service.log.read_text().count("Autorestarting") == 1
