"""A cached result equals the first, takes no slot, and is shared by engines and threads."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.runtime.cache.caching import DictStore, caching_engine, without_timings
from tests.support.contract import CONTRACT, check
from visage.errors import QueueFull
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Engine
from visage.settings import Settings
from visage.web import create_app


@pytest.mark.parametrize("annotated", [True, False])
def test_a_cached_result_is_identical_to_the_first(caching: Engine, tiny_png: bytes, annotated: bool) -> None:
    first = caching.analyze(tiny_png, annotated=annotated)
    second = caching.analyze(tiny_png, annotated=annotated)

    assert (first.cached, second.cached) == (False, True)
    assert len(second.faces) == 3
    assert without_timings(second) == without_timings(first)
    texts = [json.dumps(without_timings(each).as_json(caching.pack)) for each in (first, second)]
    assert texts[0] == texts[1]


def test_a_result_without_faces_is_cached(caching: Engine, astronaut_png: bytes) -> None:
    first = caching.analyze(astronaut_png, AnalyzeOptions(min_face_size=5000))

    second = caching.analyze(astronaut_png, AnalyzeOptions(min_face_size=5000))

    assert second.cached
    assert second.faces == ()
    assert second.annotated == first.annotated


def test_the_timings_of_a_cached_result_have_only_the_cache(caching: Engine, tiny_png: bytes) -> None:
    first = caching.analyze(tiny_png, annotated=False)
    second = caching.analyze(tiny_png, annotated=False)

    assert next(iter(first.seconds)) == "cache"
    assert set(first.seconds) == {"cache", "wait", "decode", "detect", "attributes"}
    assert set(second.seconds) == {"cache"}


def test_a_cached_result_needs_no_slot_and_no_place_in_the_queue(tiny_pack: Path, tiny_png: bytes) -> None:
    engine = caching_engine(tiny_pack, DictStore(), queue=0, wait_seconds=0)
    engine.analyze(tiny_png)

    with engine.admission.slot():
        assert len(engine.analyze(tiny_png).faces) == 3
        with pytest.raises(QueueFull):
            engine.analyze(tiny_png, AnalyzeOptions(max_faces=1))


def test_engines_on_other_machines_share_results(
    tiny_pack: Path, tmp_path: Path, store: DictStore, tiny_png: bytes
) -> None:
    elsewhere = tmp_path / "elsewhere" / tiny_pack.name
    shutil.copytree(tiny_pack, elsewhere)

    caching_engine(tiny_pack, store).analyze(tiny_png)

    assert caching_engine(elsewhere, store, slots=2, max_body_bytes=2**20).analyze(tiny_png).cached


def test_threads_get_the_results_of_a_single_thread(tiny_pack: Path, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    # Room for one of the two results: each evicts the other.
    engine = Engine(Settings(pack=str(tiny_pack), cache_bytes=20_000, slots=2, queue=100, wait_seconds=60))
    expected = {photo: without_timings(engine.analyze(photo)) for photo in (tiny_png, tiny_jpeg)}
    assert not engine.analyze(tiny_png).cached
    assert engine.analyze(tiny_png).cached

    with ThreadPoolExecutor(8) as pool:
        photos = [tiny_png, tiny_jpeg] * 50
        results = list(pool.map(engine.analyze, photos))

    assert list(map(without_timings, results)) == [expected[photo] for photo in photos]


def test_cached_responses_of_the_service_follow_the_contract(tiny_pack: Path, tiny_png: bytes) -> None:
    client = create_app(Settings(pack=str(tiny_pack), cache_bytes=10**7)).test_client()

    answers = [client.post("/predict", data=tiny_png, content_type="image/png") for _ in range(2)]

    for answer in answers:
        check(answer, "/predict", "post")
    first, second = (dict(answer.json or {}) for answer in answers)
    assert "detect" in first.pop("timings_ms")
    assert list(second.pop("timings_ms")) == ["cache"]
    assert second == first


def test_every_stage_is_in_the_contract() -> None:
    described = CONTRACT["components"]["schemas"]["AnalysisTimings"]["properties"]

    assert set(described) == {"cache", "wait", "decode", "detect", "attributes", "annotate", "encode"}
