"""The result cache: a stored result is returned for the same photo and options, and for nothing else."""

import json
import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.support.contract import CONTRACT, check
from tests.support.redis_server import needs_redis, running_redis
from tests.support.service import free_port, serving
from visage.errors import EmptyImage, ImageTooLarge, QueueFull, SettingsError, UndecodableImage
from visage.faces.analyzer import Options
from visage.faces.results import Analysis
from visage.faces.search import Detail
from visage.packs.files import PackFile
from visage.packs.pack import NetSpec, Pack
from visage.runtime import cache_stores, result_cache
from visage.runtime.cache_stores import ENTRY_BYTES, MemoryStore, RedisStore, Store
from visage.runtime.engine import Engine
from visage.runtime.result_cache import ResultCache
from visage.settings import Settings
from visage.web import create_app

# For every field of Options, a value that changes the result for the tiny photo. Add new fields here.
OTHER_OPTIONS = {
    "min_confidence": 0.999,
    "max_faces": 1,
    "min_face_size": 97,
    "detail": Detail.HIGH,
    "enhance_faces": True,
}

# The settings that change the result for a photo.
DECISIVE_SETTINGS = {"pack", "models_dir", "jpeg_quality"}

# The settings that do not. `max_image_pixels` is one of them because it is checked before the cache is used.
OTHER_SETTINGS = {
    *("mirror", "slots", "opencv_threads", "queue", "wait_seconds", "max_body_bytes", "max_image_pixels"),
    *("body_seconds", "cache_bytes", "cache_seconds", "cache_url", "api_token", "cors_origins", "metrics"),
    *("state_dir", "batch_store", "batch_redis", "batch_hours", "batch_jobs"),
    *("max_batch_bytes", "max_batch_files"),
    *("enhance_pack", "max_enhance_pixels", "tile", "tile_bytes", "overlap"),
    *("log_level", "log_addresses", "host", "port", "workers"),
}


# A label of a host name has at most 63 characters: Python raises UnicodeError, neither an OSError nor a RedisError.
LONG_NAME = f"redis://{'x' * 70}.example"


class DictStore:
    """A store without limits whose contents tests can read and change."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.contents.get(key)

    def set(self, key: str, content: bytes) -> None:
        self.contents[key] = content


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def caching_engine(tiny_pack: Path, store: Store, **settings: Any) -> Engine:
    engine = Engine(Settings(pack=str(tiny_pack), **settings))
    engine.cache = ResultCache(store, engine.pack, engine.settings.jpeg_quality)
    return engine


def without_timings(analysis: Analysis) -> Analysis:
    return replace(analysis, seconds={}, cached=False)


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def caching(tiny_pack: Path, store: DictStore) -> Engine:
    return caching_engine(tiny_pack, store)


@pytest.fixture(scope="module")
def pack(engine: Engine) -> Pack:
    return engine.pack


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis with a limit of 16 MB."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with a timeout that a busy machine needs."""
    monkeypatch.setattr(cache_stores, "REDIS_TIMEOUT_SECONDS", 10)
    return redis_server


@contextmanager
def silent_redis() -> Iterator[tuple[socket.socket, str]]:
    """A server that accepts connections and never responds, and its URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0)
        yield server, f"redis://127.0.0.1:{server.getsockname()[1]}/0"


# Results from the cache.


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
    first = caching.analyze(astronaut_png, Options(min_face_size=5000))

    second = caching.analyze(astronaut_png, Options(min_face_size=5000))

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
            engine.analyze(tiny_png, Options(max_faces=1))


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


# Different photos, options, packs and versions have different results.


def test_every_option_is_covered_by_these_tests() -> None:
    assert set(OTHER_OPTIONS) == {field.name for field in fields(Options)}


def test_every_setting_is_listed_here_as_part_of_the_key_or_not() -> None:
    assert {field.name for field in fields(Settings)} == DECISIVE_SETTINGS | OTHER_SETTINGS


@pytest.mark.parametrize("name", OTHER_OPTIONS)
def test_a_result_is_not_returned_for_other_options(
    caching: Engine, engine: Engine, tiny_png: bytes, name: str
) -> None:
    other = Options(**{name: OTHER_OPTIONS[name]})  # type: ignore[arg-type]
    caching.analyze(tiny_png)

    answer = caching.analyze(tiny_png, other)

    assert not answer.cached
    assert without_timings(answer) == without_timings(engine.analyze(tiny_png, other))


def test_different_options_have_different_keys(caching: Engine) -> None:
    assert caching.cache is not None
    choices = [
        Options(),
        *(Options(min_confidence=value) for value in (0.1, 0.01, 1.0)),
        *(Options(max_faces=value) for value in (1, 2, 10)),
        *(Options(min_face_size=value) for value in (1, 2, 10)),
        *(Options(detail=value) for value in (Detail.FAST, Detail.HIGH)),
    ]

    keys = {
        caching.cache.key(b"photo", options, annotated=annotated) for options in choices for annotated in (True, False)
    }

    assert len(keys) == 2 * len(choices)


def test_a_result_without_an_image_is_not_returned_when_an_image_is_requested(caching: Engine, tiny_png: bytes) -> None:
    caching.analyze(tiny_png, annotated=False)

    assert caching.analyze(tiny_png, annotated=True).annotated is not None
    assert caching.analyze(tiny_png, annotated=False).annotated is None


def test_another_file_with_the_same_pixels_is_another_photo(caching: Engine, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    caching.analyze(tiny_png)

    assert not caching.analyze(tiny_jpeg).cached
    assert not caching.analyze(tiny_png + b"\0").cached


def test_the_annotated_image_has_the_configured_quality(tiny_pack: Path, store: DictStore, tiny_png: bytes) -> None:
    good = caching_engine(tiny_pack, store, jpeg_quality=90).analyze(tiny_png)
    poor = caching_engine(tiny_pack, store, jpeg_quality=10).analyze(tiny_png)

    assert not poor.cached
    assert len(poor.annotated or b"") < len(good.annotated or b"")


def with_net(pack: Pack, **net: NetSpec) -> Pack:
    assert pack.attributes
    return replace(pack, attributes=replace(pack.attributes, **net))  # type: ignore[arg-type]


def altered(file: PackFile) -> PackFile:
    return replace(file, checksum="0" * 64)


@pytest.mark.parametrize(
    "change",
    [
        lambda pack: replace(pack, name="other"),
        lambda pack: replace(pack, version="2"),
        lambda pack: with_net(pack, face=replace(pack.face, weights=altered(pack.face.weights))),
        lambda pack: with_net(pack, face=replace(pack.face, prototxt=altered(pack.face.prototxt))),
        lambda pack: with_net(pack, gender=replace(pack.gender, weights=altered(pack.gender.weights))),
        lambda pack: with_net(pack, age=replace(pack.age, weights=altered(pack.age.weights))),
        # Values that a manifest can change without any other file.
        lambda pack: with_net(pack, face=replace(pack.face, min_confidence=0.9)),
        lambda pack: with_net(pack, gender=replace(pack.gender, labels=("M", "F"))),
        lambda pack: with_net(pack, age=replace(pack.age, crop_scale=1.5)),
    ],
    ids=["name", "version", "detector", "prototxt", "gender", "age", "min_confidence", "labels", "crop_scale"],
)
def test_a_result_of_another_pack_has_another_key(pack: Pack, change: Callable[[Pack], Pack]) -> None:
    one, other = ResultCache(DictStore(), pack, 90), ResultCache(DictStore(), change(pack), 90)

    assert one.key(b"photo", Options(), annotated=True) != other.key(b"photo", Options(), annotated=True)


@pytest.mark.parametrize("name", ["FORMAT", "__version__"])
def test_a_result_of_another_version_has_another_key(pack: Pack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one = ResultCache(DictStore(), pack, 90)
    monkeypatch.setattr(result_cache, name, "other")
    other = ResultCache(DictStore(), pack, 90)

    assert one.key(b"photo", Options(), annotated=True) != other.key(b"photo", Options(), annotated=True)


def test_the_pixel_limit_applies_to_cached_photos(tiny_pack: Path, store: DictStore, tiny_png: bytes) -> None:
    caching_engine(tiny_pack, store).analyze(tiny_png)

    with pytest.raises(ImageTooLarge):
        caching_engine(tiny_pack, store, max_image_pixels=100).analyze(tiny_png)


def test_an_invalid_photo_is_never_cached(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    with pytest.raises(EmptyImage):
        caching.analyze(b"")
    for _ in range(2):
        with pytest.raises(UndecodableImage):
            caching.analyze(tiny_png[:-100])

    assert store.contents == {}


def test_a_value_that_a_key_cannot_contain_raises(caching: Engine) -> None:
    assert caching.cache is not None

    with pytest.raises(TypeError, match="cannot be part of a key"):
        caching.cache.key(b"photo", Options(max_faces=object()), annotated=True)  # type: ignore[arg-type]


# Damaged and foreign contents in the store.


def test_a_result_with_an_altered_byte_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    whole = without_timings(caching.analyze(tiny_png))
    [(key, content)] = store.contents.items()

    for at in [*range(200), *range(200, len(content), 997)]:
        store.contents[key] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert caching.cache is not None
        assert caching.cache.get(key) is None

    answer = caching.analyze(tiny_png)
    assert not answer.cached
    assert without_timings(answer) == whole
    assert store.contents[key] == content


@pytest.mark.parametrize(
    "foreign", [b"", b"\0", b"null", b"{}", b"\x80\x04N.", b"\xff\xd8\xff", bytes(36), bytes(1000)]
)
def test_foreign_bytes_are_ignored(caching: Engine, store: DictStore, tiny_png: bytes, foreign: bytes) -> None:
    caching.analyze(tiny_png)
    [key] = store.contents
    store.contents[key] = foreign

    answer = caching.analyze(tiny_png)

    assert not answer.cached
    assert len(answer.faces) == 3


def test_a_truncated_result_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    [(key, content)] = store.contents.items()
    store.contents[key] = content[:-1]

    assert not caching.analyze(tiny_png).cached


def test_a_result_under_another_key_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    caching.analyze(tiny_png, Options(max_faces=1))
    one, other = store.contents
    store.contents[one], store.contents[other] = store.contents[other], store.contents[one]

    assert not caching.analyze(tiny_png).cached
    assert len(caching.analyze(tiny_png).faces) == 3


# The store in the memory of a worker.


def test_the_memory_store_never_exceeds_its_byte_limit() -> None:
    random = Random(1)
    store = MemoryStore(100_000, 3600)

    for _ in range(2000):
        store.set(f"key{random.randrange(300)}", bytes(random.choice((0, 10, 1000, 30_000, 99_999, 200_000))))
        assert 0 <= store.used_bytes <= 100_000

    found = [store.get(f"key{number}") for number in range(300)]
    assert store.used_bytes == sum(len(each) + ENTRY_BYTES for each in found if each is not None)


def test_the_counted_bytes_are_at_least_the_allocated_memory() -> None:
    # In a separate process, where nothing else allocates memory.
    code = (
        "import tracemalloc; from visage.runtime.cache_stores import MemoryStore; store = MemoryStore(4_000_000, 3600);"
        "tracemalloc.start(); [store.set(f'{number:064x}', bytes(number % 3000)) for number in range(30_000)];"
        "print(store.used_bytes, tracemalloc.get_traced_memory()[0])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    counted, allocated = map(int, printed.split())
    assert 0.7 * counted < allocated <= counted <= 4_000_000


def test_the_least_recently_used_content_is_evicted_first() -> None:
    store = MemoryStore(3 * (1000 + ENTRY_BYTES), 3600)
    for key in ("first", "second", "third"):
        store.set(key, bytes(1000))
    store.get("first")

    store.set("fourth", bytes(1000))

    assert store.get("second") is None
    assert None not in {store.get(key) for key in ("first", "third", "fourth")}


def test_a_content_larger_than_the_store_evicts_nothing() -> None:
    store = MemoryStore(2000, 3600)
    store.set("small", b"content")

    store.set("large", bytes(2000))

    assert store.get("large") is None
    assert store.get("small") == b"content"


def test_a_replaced_content_counts_once() -> None:
    store = MemoryStore(10_000, 3600)
    for size in (100, 300, 200):
        store.set("key", bytes(size))

    assert store.get("key") == bytes(200)
    assert store.used_bytes == 200 + ENTRY_BYTES


def test_a_content_expires_and_frees_its_memory_even_if_it_is_used() -> None:
    clock = Clock()
    store = MemoryStore(10_000, 60, clock)
    store.set("old", b"content")
    clock.now = 30
    store.set("new", b"content")
    clock.now = 59.9
    assert store.get("old") == b"content"

    clock.now = 60

    assert store.get("new") == b"content"
    assert store.used_bytes == len(b"content") + ENTRY_BYTES
    assert store.get("old") is None


def test_expired_contents_are_evicted_before_fresh_ones() -> None:
    clock = Clock()
    store = MemoryStore(2 * (1000 + ENTRY_BYTES), 60, clock)
    store.set("old", bytes(1000))
    clock.now = 30
    store.set("fresh", bytes(1000))
    store.get("old")
    clock.now = 60

    store.set("new", bytes(1000))

    assert [store.get(key) is not None for key in ("old", "fresh", "new")] == [False, True, True]


def test_the_memory_store_is_used_by_one_thread_at_a_time() -> None:
    inside = most = 0

    def clock() -> float:
        """Called during every operation. It gives other threads time to interfere."""
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return 0

    store = MemoryStore(4000, 3600, clock)

    def use(seed: int) -> None:
        random = Random(seed)
        for _ in range(20):
            key = f"key{random.randrange(8)}"
            if store.get(key) is None:
                store.set(key, bytes(random.randrange(1000)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert most == 1
    kept = [store.get(f"key{number}") for number in range(8)]
    assert store.used_bytes == sum(len(each) + ENTRY_BYTES for each in kept if each is not None) <= 4000


# Settings.


def test_the_cache_is_off_by_default_and_no_key_is_computed(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a key was computed although the cache is off")

    monkeypatch.setattr(ResultCache, "key", fail)
    engine = Engine(Settings(pack=str(tiny_pack)))

    answers = [engine.analyze(tiny_png, annotated=False) for _ in range(2)]

    assert engine.cache is None
    assert [answer.cached for answer in answers] == [False, False]
    assert set(answers[1].seconds) == {"wait", "decode", "detect", "attributes"}


def test_the_cache_is_configured_by_the_environment(tiny_pack: Path, tiny_png: bytes) -> None:
    settings = Settings.from_environment({"VISAGE_PACK": str(tiny_pack), "VISAGE_CACHE_BYTES": "1000000"})
    engine = Engine(settings)

    assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, True]


@pytest.mark.parametrize("url", ["cache:6379", "http://cache", "redis:cache"])
def test_a_url_that_is_not_of_redis_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_CACHE_URL is .* begins with redis://"):
        Settings.from_environment({"VISAGE_CACHE_URL": url})


def test_an_invalid_url_is_reported_at_start_without_its_password(tiny_pack: Path) -> None:
    settings = Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url="redis://:secret@cache:port/0")

    with pytest.raises(SettingsError, match="VISAGE_CACHE_URL cannot be used") as caught:
        Engine(settings)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("package", "url"), [("redis", "redis://cache"), ("cachetools", "")])
def test_a_missing_package_is_reported_at_start(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch, package: str, url: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(SettingsError, match=rf"needs the package {package}.*pip install {package}"):
        Engine(Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url=url))


def test_without_a_cache_the_engine_needs_no_cachetools(tiny_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cachetools", None)

    assert Engine(Settings(pack=str(tiny_pack))).cache is None


def test_a_cache_in_memory_imports_neither_redis_nor_flask(tiny_pack: Path) -> None:
    code = (
        "import sys; from visage.runtime.engine import Engine; from visage.settings import Settings;"
        f"Engine(Settings(pack={str(tiny_pack)!r}, cache_bytes=1000));"
        "print(sorted({'redis', 'flask'} & set(sys.modules)))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


# The service.


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
    described = CONTRACT["components"]["schemas"]["Analysis"]["properties"]["timings_ms"]["properties"]

    assert set(described) == {"cache", "wait", "decode", "detect", "attributes", "annotate", "encode"}


# Redis.


@needs_redis
def test_workers_of_two_services_share_results_through_redis(
    redis_url: str, tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes
) -> None:
    slow_url = f"{redis_url}?socket_timeout=30&socket_connect_timeout=30"
    cache = {"VISAGE_CACHE_BYTES": "1000000", "VISAGE_CACHE_URL": slow_url, "WEB_CONCURRENCY": "2"}
    with (
        serving(tmp_path / "one", tiny_pack, **cache) as one,
        serving(tmp_path / "other", tiny_pack, **cache) as other,
    ):
        first = one.post(tiny_jpeg).json()
        rest = [service.post(tiny_jpeg).json() for service in (one, other) * 4]

    assert "detect" in first.pop("timings_ms")
    assert [list(answer.pop("timings_ms")) for answer in rest] == [["cache"]] * 8
    assert rest == [first] * 8


@needs_redis
def test_contents_in_redis_expire(redis_url: str) -> None:
    store = RedisStore(redis_url, 1000, seconds=60)

    store.set("brief", b"content")

    assert store.get("brief") == b"content"
    with closing(redis.Redis.from_url(redis_url)) as client:
        assert 0 < client.ttl(cache_stores.REDIS_PREFIX + "brief") <= 60


@needs_redis
def test_contents_above_the_size_limit_are_not_sent_to_redis(redis_url: str) -> None:
    store = RedisStore(redis_url, 1000, 60)

    store.set("large", bytes(1001))
    store.set("largest", bytes(1000))

    assert store.get("large") is None
    assert store.get("largest") == bytes(1000)


@needs_redis
def test_redis_limits_its_memory_itself(redis_url: str) -> None:
    store = RedisStore(redis_url, 2**20, 60)

    for number in range(40):
        store.set(f"filling{number}", bytes(2**20))

    kept = [number for number in range(40) if store.get(f"filling{number}")]
    assert 0 < len(kept) <= 16


@needs_redis
def test_a_photo_is_processed_if_redis_returns_an_error(redis_url: str, tiny_pack: Path, tiny_png: bytes) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        engine = caching_engine(tiny_pack, RedisStore(redis_url, 2**20, 60), jpeg_quality=61)
        assert engine.cache is not None
        # A list in place of a string: Redis returns an error.
        key = engine.cache.key(tiny_png, Options(), annotated=True)
        client.lpush(cache_stores.REDIS_PREFIX + key, "foreign")

    assert len(engine.analyze(tiny_png).faces) == 3


@needs_redis
def test_an_empty_redis_after_a_restart_is_used_again(
    tiny_pack: Path, tiny_png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_stores, "REDIS_TIMEOUT_SECONDS", 10)
    monkeypatch.setattr(cache_stores, "REDIS_PAUSE_SECONDS", 0)
    with running_redis(tmp_path) as url:
        engine = caching_engine(tiny_pack, RedisStore(url, 2**20, 60))
        assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, True]

    assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, False]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis://127.0.0.1:{port}/0?nonsense=1", LONG_NAME])
def test_an_unreachable_redis_costs_one_log_line_and_no_result(
    tiny_pack: Path, tiny_png: bytes, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    engine = caching_engine(tiny_pack, RedisStore(url.format(port=free_port()), 2**20, 60))

    with caplog.at_level(logging.WARNING, "visage"):
        answers = [engine.analyze(tiny_png) for _ in range(5)]

    assert [answer.cached for answer in answers] == [False] * 5
    assert [len(answer.faces) for answer in answers] == [3] * 5
    assert [record.getMessage() for record in caplog.records] == ["cache_failed"]


def test_an_unresponsive_redis_delays_one_photo_only(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_stores, "REDIS_PAUSE_SECONDS", 3600)
    with silent_redis() as (server, url):
        engine = caching_engine(tiny_pack, RedisStore(url, 2**20, 60))

        answers = [engine.analyze(tiny_png) for _ in range(5)]

        assert connections(server) == 1

    assert [len(answer.faces) for answer in answers] == [3] * 5
    assert 0.15 < answers[0].seconds["cache"] < 10


def connections(server: socket.socket) -> int:
    """How many clients connected to `server` since the last call."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_threads_that_fail_together_write_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with silent_redis() as (_, url), ThreadPoolExecutor(8) as pool, caplog.at_level(logging.WARNING, "visage"):
        store = RedisStore(url, 2**20, 60)

        assert list(pool.map(store.get, ["key"] * 8)) == [None] * 8

    assert [record.getMessage() for record in caplog.records] == ["cache_failed"]


def test_redis_is_used_again_after_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(cache_stores, "time", SimpleNamespace(monotonic=clock))
    connected = []
    with silent_redis() as (server, url):
        store = RedisStore(url, 2**20, 60)
        for clock.now in (1, 10.9, 11.1):
            store.get("key")
            connected.append(connections(server))

    assert connected == [1, 0, 1]
