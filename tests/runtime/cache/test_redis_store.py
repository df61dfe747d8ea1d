"""Services share results through Redis, and process photos without it."""

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from tests.runtime.cache.caching import Clock, caching_engine
from tests.support.redis_server import needs_redis, running_redis
from tests.support.service import free_port, serving
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime import cache_stores
from visage.runtime.cache_stores import RedisStore

# A label of a host name has at most 63 characters: Python raises UnicodeError, neither an OSError nor a RedisError.
LONG_NAME = f"redis://{'x' * 70}.example"


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
        key = engine.cache.key(tiny_png, AnalyzeOptions(), annotated=True)
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
