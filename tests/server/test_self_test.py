"""Before a worker serves, it answers a photo of its own, that the first client's be not slow; nobody else sees it."""

from pathlib import Path

import pytest
import requests

from tests.support.service import serving

SURROUNDINGS: dict[str, dict[str, str]] = {
    "as it comes": {},
    "with a token": {"VISAGE_API_TOKEN": "a-token-that-is-long-enough"},
    "with a cache": {"VISAGE_CACHE_BYTES": "1000000"},
    "with the smallest photos allowed": {"VISAGE_MAX_IMAGE_PIXELS": "1", "VISAGE_MAX_BODY_BYTES": "1024"},
    "without a queue and a wait": {"VISAGE_QUEUE": "0", "VISAGE_WAIT_SECONDS": "0"},
    "of several slots": {"VISAGE_SLOTS": "3"},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_worker_has_answered_one_photo_that_is_not_counted(tiny_pack: Path, tmp_path: Path, name: str) -> None:
    alone = {"WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0", "VISAGE_LOG_LEVEL": "debug"}
    token = {"Authorization": f"Bearer {SURROUNDINGS[name].get('VISAGE_API_TOKEN')}"}
    with serving(tmp_path / "log", tiny_pack, **alone, **SURROUNDINGS[name]) as service:
        metrics = requests.get(service.url + "/metrics", headers=token, timeout=60).text
        log = service.log.read_text()

    assert log.count('"event":"rehearsed"') == 1
    assert "rehearsal_failed" not in log
    assert "/predict" not in log
    for trace in ('route="/predict"', "visage_stage_seconds_count", 'visage_cache_answers_total{outcome="miss"} 1'):
        assert trace not in metrics


def test_a_rehearsal_that_is_refused_is_told_and_keeps_nobody_waiting(tiny_pack: Path, tmp_path: Path) -> None:
    # Enough for `GET /readyz HTTP/1.1`.
    refusing = {"GUNICORN_CMD_ARGS": "--limit-request-line 21", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "log", tiny_pack, **refusing) as service:
        log = service.log.read_text()

    assert '"event":"rehearsal_failed","reason":"HTTP/1.1 414 ' in log


def test_a_rehearsal_uses_up_none_of_a_workers_requests(tiny_pack: Path, tmp_path: Path) -> None:
    renewed = {"GUNICORN_CMD_ARGS": "--max-requests 2", "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}
    with serving(tmp_path / "log", tiny_pack, **renewed) as service:
        # The first was for /readyz.
        assert "Autorestarting" not in service.log.read_text()

        requests.get(service.url + "/healthz", timeout=60).raise_for_status()

        assert service.log.read_text().count("Autorestarting") == 1
