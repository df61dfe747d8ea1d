"""huey still has the names without documentation that Visage uses. All stand in one module."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huey import MemoryHuey
from huey.consumer import Consumer

from visage.batches import huey_internals
from visage.batches.huey_internals import Huey, Message, SqliteStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Any]:
    storage = SqliteStorage("visage", filename=str(tmp_path / "batches.db"))
    yield storage
    storage.close()


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    consumer = Consumer(MemoryHuey(), workers=2, periodic=False)
    yield consumer
    consumer.stop(graceful=True)


def test_counters_of_sqlite_are_those_of_huey(storage: Any) -> None:
    storage.incr("sizes.a", 2)
    storage.set_counter("sizes.b", 3, only_if_absent=False)

    assert storage.incr("sizes.b", 1) == 4
    assert storage.counters(["sizes.a", "sizes.b", "sizes.c"]) == [2, 4, 0]
    assert storage.counters_from("sizes.") == {"sizes.a": 2, "sizes.b": 4}
    assert not storage.add_within("sizes.", "sizes.c", 5, limit=10)
    assert storage.add_within("sizes.", "sizes.c", 4, limit=10)


def test_a_transaction_of_sqlite_locks_the_file(storage: Any, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "batches.db", timeout=0)

    with storage.db(commit=True), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("insert into counter (queue, key, value) values ('visage', 'a', 1)")
    other.close()


def test_the_storage_in_redis_has_a_client_and_a_key_of_its_counters() -> None:
    redis = pytest.importorskip("redis")

    storage = huey_internals.redis_storage()("visage", connection_pool=redis.ConnectionPool())

    assert isinstance(storage.conn, redis.Redis)
    assert storage.counter_key == "huey.counters.visage"


def test_a_message_in_the_queue_has_the_arguments_of_its_task() -> None:
    huey: Any = Huey("visage", storage_class=type(MemoryHuey().storage))
    huey.task(name="work")(print)("id")

    (content,) = huey.storage.enqueued_items()

    message = huey.serializer.deserialize(content)
    assert isinstance(message, Message)
    assert message.args == ("id",)


def threads_of(consumer: Consumer) -> list[threading.Thread]:
    return [consumer.scheduler, *(thread for _, thread in consumer.worker_threads)]


def test_the_threads_of_a_consumer_run_until_the_event_is_set(consumer: Consumer) -> None:
    threads = threads_of(consumer)

    huey_internals.start_threads(consumer)
    started = [thread.is_alive() for thread in threads]
    huey_internals.stop_event(consumer).set()
    for thread in threads:
        thread.join(60)

    assert started == [True] * 3
    assert [thread.is_alive() for thread in threads] == [False] * 3


def test_a_dead_thread_of_a_consumer_is_replaced(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, thread = consumer.worker_threads[0]

    def die(_now: object = None) -> None:
        raise SystemExit

    monkeypatch.setattr(worker, "loop", die)
    huey_internals.start_threads(consumer)
    thread.join(60)

    huey_internals.replace_dead_threads(consumer)

    assert thread not in threads_of(consumer)
    assert [each.is_alive() for each in threads_of(consumer)] == [True] * 3
