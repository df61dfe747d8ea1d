"""Before a worker serves, it answers a photo of its own, so that the first client's is not slow; nobody sees it."""

from pathlib import Path

import pytest
import requests

from benchmarks.service import serving
from benchmarks.usage import workers

SURROUNDINGS: dict[str, dict[str, str]] = {
    "as it comes": {},
    "with a token": {"VISAGE_API_TOKEN": "a-token-that-is-long-enough"},
    "with a cache": {"VISAGE_CACHE_BYTES": "1000000"},
    "with the smallest photos allowed": {"VISAGE_MAX_IMAGE_PIXELS": "1", "VISAGE_MAX_BODY_BYTES": "1024"},
    "without a queue and a wait": {"VISAGE_QUEUE": "0", "VISAGE_WAIT_SECONDS": "0"},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_worker_has_answered_a_photo_of_which_nothing_is_to_be_seen(
    tiny_pack: Path, tmp_path: Path, name: str
) -> None:
    environment = SURROUNDINGS[name]
    with serving(tmp_path / "log", tiny_pack, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0", **environment) as service:
        (worker,) = workers(service)
        threads = len(list(Path(f"/proc/{worker}/task").iterdir()))
        token = {"Authorization": f"Bearer {environment.get('VISAGE_API_TOKEN')}"}
        metrics = requests.get(service.url + "/metrics", headers=token, timeout=60).text
        log = service.log.read_text()

    # The main loop's, and one that a request has called for; OpenCV has no other with one thread a slot.
    assert threads == 2
    assert "rehearsal" not in log
    assert "/predict" not in log
    for trace in ('route="/predict"', "visage_stage_seconds_count", 'visage_cache_answers_total{outcome="miss"} 1'):
        assert trace not in metrics
