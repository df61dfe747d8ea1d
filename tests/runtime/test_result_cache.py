"""Answers that are kept: the same photo asked the same way gets what it got; everything else is worked on."""

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
from visage.runtime import result_cache
from visage.runtime.engine import Engine
from visage.runtime.result_cache import ENTRY_BYTES, AnswerCache, MemoryStore, RedisStore
from visage.settings import Settings
from visage.web import create_app

# Of every field of Options another value than the default, one by which the answer to the tiny photo differs in
# truth. A field that is added has to be added here.
OTHER_OPTIONS = {
    "min_confidence": 0.999,
    "max_faces": 1,
    "min_face_size": 97,
    "detail": Detail.HIGH,
    "enhance_faces": True,
}

# The settings that decide what a photo is answered.
DECISIVE_SETTINGS = {"pack", "models_dir", "jpeg_quality"}

# Those that do not: who is let in, how long things take, where the service stands. The limit on pixels belongs to
# them because it is held before the cache is asked.
OTHER_SETTINGS = {
    *("mirror", "slots", "opencv_threads", "queue", "wait_seconds", "max_body_bytes", "max_image_pixels"),
    *("body_seconds", "cache_bytes", "cache_seconds", "cache_url", "api_token", "cors_origins", "metrics"),
    *("state_dir", "batch_store", "batch_redis", "batch_hours", "batch_jobs"),
    *("max_batch_bytes", "max_batch_files"),
    *("enhance_pack", "max_enhance_pixels", "tile", "tile_bytes", "overlap"),
    *("log_level", "log_addresses", "host", "port", "workers"),
}


# No name can have so long a part: Python's own complaint is neither of the client nor of the system.
LONG_NAME = f"redis://{'x' * 70}.example"


class Dictionary:
    """A store that keeps everything, open to be looked into."""

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


def caching_engine(tiny_pack: Path, store: result_cache.Store, **settings: Any) -> Engine:
    engine = Engine(Settings(pack=str(tiny_pack), **settings))
    engine.cache = AnswerCache(store, engine.pack, engine.settings.jpeg_quality)
    return engine


def but_for_the_times(analysis: Analysis) -> Analysis:
    return replace(analysis, seconds={}, cached=False)


@pytest.fixture
def store() -> Dictionary:
    return Dictionary()


@pytest.fixture
def caching(tiny_pack: Path, store: Dictionary) -> Engine:
    return caching_engine(tiny_pack, store)


@pytest.fixture(scope="module")
def pack(engine: Engine) -> Pack:
    return engine.pack


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Redis that keeps at most 16 MB."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with as much patience as a busy machine needs."""
    monkeypatch.setattr(result_cache, "REDIS_TIMEOUT_SECONDS", 10)
    return redis_server


@contextmanager
def silent_redis() -> Iterator[tuple[socket.socket, str]]:
    """A server that takes connections and says nothing, and its URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0)
        yield server, f"redis://127.0.0.1:{server.getsockname()[1]}/0"


# What is answered from the cache.


@pytest.mark.parametrize("annotated", [True, False])
def test_a_known_answer_is_the_same_byte_for_byte(caching: Engine, tiny_png: bytes, annotated: bool) -> None:
    first = caching.analyze(tiny_png, annotated=annotated)
    second = caching.analyze(tiny_png, annotated=annotated)

    assert (first.cached, second.cached) == (False, True)
    assert len(second.faces) == 3
    assert but_for_the_times(second) == but_for_the_times(first)
    given = [json.dumps(but_for_the_times(each).as_json(caching.pack)) for each in (first, second)]
    assert given[0] == given[1]


def test_without_a_face_an_answer_is_known_too(caching: Engine, astronaut_png: bytes) -> None:
    first = caching.analyze(astronaut_png, Options(min_face_size=5000))

    second = caching.analyze(astronaut_png, Options(min_face_size=5000))

    assert second.cached
    assert second.faces == ()
    assert second.annotated == first.annotated


def test_the_times_of_a_known_answer_are_those_of_the_cache_alone(caching: Engine, tiny_png: bytes) -> None:
    first = caching.analyze(tiny_png, annotated=False)
    second = caching.analyze(tiny_png, annotated=False)

    assert next(iter(first.seconds)) == "cache"
    assert set(first.seconds) == {"cache", "wait", "decode", "detect", "attributes"}
    assert set(second.seconds) == {"cache"}


def test_a_known_answer_takes_no_slot_and_no_place_in_the_queue(tiny_pack: Path, tiny_png: bytes) -> None:
    engine = caching_engine(tiny_pack, Dictionary(), queue=0, wait_seconds=0)
    engine.analyze(tiny_png)

    with engine.admission.slot():
        assert len(engine.analyze(tiny_png).faces) == 3
        with pytest.raises(QueueFull):
            engine.analyze(tiny_png, Options(max_faces=1))


def test_another_machine_knows_the_answer(tiny_pack: Path, tmp_path: Path, store: Dictionary, tiny_png: bytes) -> None:
    elsewhere = tmp_path / "elsewhere" / tiny_pack.name
    shutil.copytree(tiny_pack, elsewhere)

    caching_engine(tiny_pack, store).analyze(tiny_png)

    assert caching_engine(elsewhere, store, slots=2, max_body_bytes=2**20).analyze(tiny_png).cached


def test_threads_get_what_one_gets(tiny_pack: Path, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    # Room for one of the two answers: they drive each other out.
    engine = Engine(Settings(pack=str(tiny_pack), cache_bytes=20_000, slots=2, queue=100, wait_seconds=60))
    alone = {photo: but_for_the_times(engine.analyze(photo)) for photo in (tiny_png, tiny_jpeg)}
    assert not engine.analyze(tiny_png).cached
    assert engine.analyze(tiny_png).cached

    with ThreadPoolExecutor(8) as pool:
        photos = [tiny_png, tiny_jpeg] * 50
        together = list(pool.map(engine.analyze, photos))

    assert list(map(but_for_the_times, together)) == [alone[photo] for photo in photos]


# What is never given for something else.


def test_every_option_has_another_value_here() -> None:
    assert set(OTHER_OPTIONS) == {field.name for field in fields(Options)}


def test_every_setting_is_known_to_decide_answers_or_not() -> None:
    assert {field.name for field in fields(Settings)} == DECISIVE_SETTINGS | OTHER_SETTINGS


@pytest.mark.parametrize("name", OTHER_OPTIONS)
def test_the_answer_with_one_option_is_not_given_for_another(
    caching: Engine, engine: Engine, tiny_png: bytes, name: str
) -> None:
    other = Options(**{name: OTHER_OPTIONS[name]})  # type: ignore[arg-type]
    caching.analyze(tiny_png)

    answer = caching.analyze(tiny_png, other)

    assert not answer.cached
    assert but_for_the_times(answer) == but_for_the_times(engine.analyze(tiny_png, other))


def test_no_two_wishes_share_a_key(caching: Engine) -> None:
    assert caching.cache is not None
    wishes = [
        Options(),
        *(Options(min_confidence=value) for value in (0.1, 0.01, 1.0)),
        *(Options(max_faces=value) for value in (1, 2, 10)),
        *(Options(min_face_size=value) for value in (1, 2, 10)),
        *(Options(detail=value) for value in (Detail.FAST, Detail.HIGH)),
    ]

    keys = {caching.cache.key(b"photo", wish, annotated=annotated) for wish in wishes for annotated in (True, False)}

    assert len(keys) == 2 * len(wishes)


def test_an_answer_without_a_picture_is_not_given_to_who_wants_one(caching: Engine, tiny_png: bytes) -> None:
    caching.analyze(tiny_png, annotated=False)

    assert caching.analyze(tiny_png, annotated=True).annotated is not None
    assert caching.analyze(tiny_png, annotated=False).annotated is None


def test_another_photo_of_the_same_pixels_is_another_photo(caching: Engine, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    caching.analyze(tiny_png)

    assert not caching.analyze(tiny_jpeg).cached
    assert not caching.analyze(tiny_png + b"\0").cached


def test_the_picture_has_the_quality_that_is_set(tiny_pack: Path, store: Dictionary, tiny_png: bytes) -> None:
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
        # What a manifest may change without any other file.
        lambda pack: with_net(pack, face=replace(pack.face, min_confidence=0.9)),
        lambda pack: with_net(pack, gender=replace(pack.gender, labels=("M", "F"))),
        lambda pack: with_net(pack, age=replace(pack.age, crop_scale=1.5)),
    ],
    ids=["name", "version", "detector", "prototxt", "gender", "age", "min_confidence", "labels", "crop_scale"],
)
def test_an_answer_of_another_pack_is_not_known(pack: Pack, change: Callable[[Pack], Pack]) -> None:
    one, other = AnswerCache(Dictionary(), pack, 90), AnswerCache(Dictionary(), change(pack), 90)

    assert one.key(b"photo", Options(), annotated=True) != other.key(b"photo", Options(), annotated=True)


@pytest.mark.parametrize("name", ["FORMAT", "__version__"])
def test_an_answer_of_another_program_is_not_known(pack: Pack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one = AnswerCache(Dictionary(), pack, 90)
    monkeypatch.setattr(result_cache, name, "other")
    other = AnswerCache(Dictionary(), pack, 90)

    assert one.key(b"photo", Options(), annotated=True) != other.key(b"photo", Options(), annotated=True)


def test_a_limit_on_pixels_holds_for_photos_that_another_worker_answered(
    tiny_pack: Path, store: Dictionary, tiny_png: bytes
) -> None:
    caching_engine(tiny_pack, store).analyze(tiny_png)

    with pytest.raises(ImageTooLarge):
        caching_engine(tiny_pack, store, max_image_pixels=100).analyze(tiny_png)


def test_a_bad_photo_is_never_kept(caching: Engine, store: Dictionary, tiny_png: bytes) -> None:
    with pytest.raises(EmptyImage):
        caching.analyze(b"")
    for _ in range(2):
        with pytest.raises(UndecodableImage):
            caching.analyze(tiny_png[:-100])

    assert store.contents == {}


def test_what_a_key_cannot_hold_is_an_error_and_no_omission(caching: Engine) -> None:
    assert caching.cache is not None

    with pytest.raises(TypeError, match="cannot be a part of a key"):
        caching.cache.key(b"photo", Options(max_faces=object()), annotated=True)  # type: ignore[arg-type]


# What lies in the store but was not put there like this.


def test_any_altered_byte_makes_an_answer_unknown(caching: Engine, store: Dictionary, tiny_png: bytes) -> None:
    whole = but_for_the_times(caching.analyze(tiny_png))
    [(key, content)] = store.contents.items()

    for at in [*range(200), *range(200, len(content), 997)]:
        store.contents[key] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert caching.cache is not None
        assert caching.cache.get(key) is None

    answer = caching.analyze(tiny_png)
    assert not answer.cached
    assert but_for_the_times(answer) == whole
    assert store.contents[key] == content


@pytest.mark.parametrize(
    "foreign", [b"", b"\0", b"null", b"{}", b"\x80\x04N.", b"\xff\xd8\xff", bytes(36), bytes(1000)]
)
def test_foreign_bytes_are_no_answer(caching: Engine, store: Dictionary, tiny_png: bytes, foreign: bytes) -> None:
    caching.analyze(tiny_png)
    [key] = store.contents
    store.contents[key] = foreign

    answer = caching.analyze(tiny_png)

    assert not answer.cached
    assert len(answer.faces) == 3


def test_an_answer_cut_short_is_unknown(caching: Engine, store: Dictionary, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    [(key, content)] = store.contents.items()
    store.contents[key] = content[:-1]

    assert not caching.analyze(tiny_png).cached


def test_an_answer_under_the_key_of_another_is_unknown(caching: Engine, store: Dictionary, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    caching.analyze(tiny_png, Options(max_faces=1))
    one, other = store.contents
    store.contents[one], store.contents[other] = store.contents[other], store.contents[one]

    assert not caching.analyze(tiny_png).cached
    assert len(caching.analyze(tiny_png).faces) == 3


# The memory of a worker.


def test_what_is_kept_in_memory_never_exceeds_its_bytes() -> None:
    random = Random(1)
    store = MemoryStore(100_000, 3600)

    for _ in range(2000):
        store.set(f"key{random.randrange(300)}", bytes(random.choice((0, 10, 1000, 30_000, 99_999, 200_000))))
        assert 0 <= store.kept_bytes <= 100_000

    found = [store.get(f"key{number}") for number in range(300)]
    assert store.kept_bytes == sum(len(each) + ENTRY_BYTES for each in found if each is not None)


def test_what_is_counted_is_what_memory_it_takes() -> None:
    # In a process of its own, where nothing else takes memory.
    code = (
        "import tracemalloc; from visage.runtime.result_cache import MemoryStore; store = MemoryStore(4_000_000, 3600);"
        "tracemalloc.start(); [store.set(f'{number:064x}', bytes(number % 3000)) for number in range(30_000)];"
        "print(store.kept_bytes, tracemalloc.get_traced_memory()[0])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    counted, taken = map(int, printed.split())
    assert 0.7 * counted < taken <= counted <= 4_000_000


def test_the_least_recently_used_goes_first() -> None:
    store = MemoryStore(3 * (1000 + ENTRY_BYTES), 3600)
    for key in ("first", "second", "third"):
        store.set(key, bytes(1000))
    store.get("first")

    store.set("fourth", bytes(1000))

    assert store.get("second") is None
    assert None not in {store.get(key) for key in ("first", "third", "fourth")}


def test_what_is_too_large_drives_nothing_out() -> None:
    store = MemoryStore(2000, 3600)
    store.set("small", b"content")

    store.set("large", bytes(2000))

    assert store.get("large") is None
    assert store.get("small") == b"content"


def test_what_is_put_again_counts_once() -> None:
    store = MemoryStore(10_000, 3600)
    for size in (100, 300, 200):
        store.set("key", bytes(size))

    assert store.get("key") == bytes(200)
    assert store.kept_bytes == 200 + ENTRY_BYTES


def test_what_is_too_old_is_unknown_and_gone_however_often_it_is_used() -> None:
    clock = Clock()
    store = MemoryStore(10_000, 60, clock)
    store.set("old", b"content")
    clock.now = 30
    store.set("new", b"content")
    clock.now = 59.9
    assert store.get("old") == b"content"

    clock.now = 60

    assert store.get("new") == b"content"
    assert store.kept_bytes == len(b"content") + ENTRY_BYTES
    assert store.get("old") is None


def test_threads_take_turns_in_memory() -> None:
    inside = most = 0

    def clock() -> float:
        """Is asked in the midst of every use, and gives other threads the time to come in between."""
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
    assert store.kept_bytes == sum(len(each) + ENTRY_BYTES for each in kept if each is not None) <= 4000


# Settings.


def test_a_cache_is_off_by_default_and_nothing_is_digested(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a cache that is off was asked")

    monkeypatch.setattr(AnswerCache, "key", fail)
    engine = Engine(Settings(pack=str(tiny_pack)))

    answers = [engine.analyze(tiny_png, annotated=False) for _ in range(2)]

    assert engine.cache is None
    assert [answer.cached for answer in answers] == [False, False]
    assert set(answers[1].seconds) == {"wait", "decode", "detect", "attributes"}


def test_the_cache_is_set_by_the_environment(tiny_pack: Path, tiny_png: bytes) -> None:
    settings = Settings.from_environment({"VISAGE_PACK": str(tiny_pack), "VISAGE_CACHE_BYTES": "1000000"})
    engine = Engine(settings)

    assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, True]


@pytest.mark.parametrize("url", ["cache:6379", "http://cache", "redis:cache"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_CACHE_URL is .* begins with redis://"):
        Settings.from_environment({"VISAGE_CACHE_URL": url})


def test_a_url_that_cannot_be_used_is_told_at_the_start_without_its_password(tiny_pack: Path) -> None:
    settings = Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url="redis://:secret@cache:port/0")

    with pytest.raises(SettingsError, match="VISAGE_CACHE_URL cannot be used") as caught:
        Engine(settings)

    assert "secret" not in str(caught.value)


def test_without_the_package_redis_the_start_says_what_to_install(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(SettingsError, match=r"needs the package redis.*pip install redis"):
        Engine(Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url="redis://cache"))


def test_a_cache_in_memory_needs_neither_redis_nor_flask(tiny_pack: Path) -> None:
    code = (
        "import sys; from visage.runtime.engine import Engine; from visage.settings import Settings;"
        f"Engine(Settings(pack={str(tiny_pack)!r}, cache_bytes=1000));"
        "print(sorted({'redis', 'cachelib', 'flask'} & set(sys.modules)))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"


# The service.


def test_the_service_answers_from_its_cache_as_the_contract_says(tiny_pack: Path, tiny_png: bytes) -> None:
    client = create_app(Settings(pack=str(tiny_pack), cache_bytes=10**7)).test_client()

    answers = [client.post("/predict", data=tiny_png, content_type="image/png") for _ in range(2)]

    for answer in answers:
        check(answer, "/predict", "post")
    first, second = (dict(answer.json or {}) for answer in answers)
    assert "detect" in first.pop("timings_ms")
    assert list(second.pop("timings_ms")) == ["cache"]
    assert second == first


def test_every_stage_of_an_answer_is_described() -> None:
    described = CONTRACT["components"]["schemas"]["Analysis"]["properties"]["timings_ms"]["properties"]

    assert set(described) == {"cache", "wait", "decode", "detect", "attributes", "annotate", "encode"}


# Redis.


@needs_redis
def test_workers_of_two_services_know_each_others_answers(
    redis_url: str, tiny_pack: Path, tmp_path: Path, tiny_jpeg: bytes
) -> None:
    patient = f"{redis_url}?socket_timeout=30&socket_connect_timeout=30"
    cache = {"VISAGE_CACHE_BYTES": "1000000", "VISAGE_CACHE_URL": patient, "WEB_CONCURRENCY": "2"}
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
def test_what_redis_keeps_expires(redis_url: str) -> None:
    store = RedisStore(redis_url, 1000, seconds=60)

    store.set("brief", b"content")

    assert store.get("brief") == b"content"
    with closing(redis.Redis.from_url(redis_url)) as client:
        assert 0 < client.ttl(result_cache.REDIS_PREFIX + "brief") <= 60


@needs_redis
def test_redis_gets_nothing_larger_than_is_set(redis_url: str) -> None:
    store = RedisStore(redis_url, 1000, 60)

    store.set("large", bytes(1001))
    store.set("largest", bytes(1000))

    assert store.get("large") is None
    assert store.get("largest") == bytes(1000)


@needs_redis
def test_redis_bounds_what_it_keeps_by_itself(redis_url: str) -> None:
    store = RedisStore(redis_url, 2**20, 60)

    for number in range(40):
        store.set(f"filling{number}", bytes(2**20))

    kept = [number for number in range(40) if store.get(f"filling{number}")]
    assert 0 < len(kept) <= 16


@needs_redis
def test_what_redis_refuses_is_worked_on(redis_url: str, tiny_pack: Path, tiny_png: bytes) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        engine = caching_engine(tiny_pack, RedisStore(redis_url, 2**20, 60), jpeg_quality=61)
        assert engine.cache is not None
        # Of another type than what is kept: Redis answers with an error.
        key = engine.cache.key(tiny_png, Options(), annotated=True)
        client.lpush(result_cache.REDIS_PREFIX + key, "foreign")

    assert len(engine.analyze(tiny_png).faces) == 3


@needs_redis
def test_a_redis_that_comes_back_is_used_again(
    tiny_pack: Path, tiny_png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_cache, "REDIS_TIMEOUT_SECONDS", 10)
    monkeypatch.setattr(result_cache, "REDIS_PAUSE_SECONDS", 0)
    with running_redis(tmp_path) as url:
        engine = caching_engine(tiny_pack, RedisStore(url, 2**20, 60))
        assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, True]

    assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, False]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "redis://127.0.0.1:{port}/0?nonsense=1", LONG_NAME])
def test_a_redis_that_is_down_costs_one_line_in_the_log_and_nothing_else(
    tiny_pack: Path, tiny_png: bytes, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    engine = caching_engine(tiny_pack, RedisStore(url.format(port=free_port()), 2**20, 60))

    with caplog.at_level(logging.WARNING, "visage"):
        answers = [engine.analyze(tiny_png) for _ in range(5)]

    assert [answer.cached for answer in answers] == [False] * 5
    assert [len(answer.faces) for answer in answers] == [3] * 5
    assert [record.getMessage() for record in caplog.records] == ["cache_failed"]


def test_a_redis_that_says_nothing_is_waited_for_once(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_cache, "REDIS_PAUSE_SECONDS", 3600)
    with silent_redis() as (server, url):
        engine = caching_engine(tiny_pack, RedisStore(url, 2**20, 60))

        answers = [engine.analyze(tiny_png) for _ in range(5)]

        assert calls(server) == 1

    assert [len(answer.faces) for answer in answers] == [3] * 5
    assert 0.15 < answers[0].seconds["cache"] < 10


def calls(server: socket.socket) -> int:
    """How often a server was called on since it was last looked at."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_threads_that_wait_for_the_same_redis_leave_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with silent_redis() as (_, url), ThreadPoolExecutor(8) as pool, caplog.at_level(logging.WARNING, "visage"):
        store = RedisStore(url, 2**20, 60)

        assert list(pool.map(store.get, ["key"] * 8)) == [None] * 8

    assert [record.getMessage() for record in caplog.records] == ["cache_failed"]


def test_a_redis_is_asked_again_after_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(result_cache, "time", SimpleNamespace(monotonic=clock))
    asked = []
    with silent_redis() as (server, url):
        store = RedisStore(url, 2**20, 60)
        for clock.now in (1, 10.9, 11.1):
            store.get("key")
            asked.append(calls(server))

    assert asked == [1, 0, 1]
