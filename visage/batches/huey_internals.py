"""What Visage uses of huey that its documentation does not describe: the counters of its storages, and its consumer's
threads.

No other module touches these names; tests/batches/test_huey_internals.py checks each of them. huey describes `Huey`,
`Consumer`, `Serializer` and the methods of `BaseStorage` (its documentation, "Huey's API").
"""

import importlib.util
import sqlite3
import sys
import threading
from contextlib import suppress
from functools import cache
from typing import Any

# If redis is installed, huey imports it: 6 MB per process (docs/decisions.md, "Memory"). It is hidden from huey here;
# None in sys.modules makes an import fail. `redis_storage` loads a second copy of huey's storages, which sees redis.
_hides_redis = "redis" not in sys.modules
if _hides_redis:
    sys.modules["redis"] = None  # type: ignore[assignment]
try:
    from huey import Huey, storage
    from huey.registry import Message
    from huey.serializer import Serializer
finally:
    if _hides_redis:
        del sys.modules["redis"]

__all__ = [
    "Huey",
    "Message",
    "Serializer",
    "SqliteStorage",
    "redis_storage",
    "replace_dead_threads",
    "start_threads",
    "stop_event",
]

# The table of counters in SQLite.
_SET_COUNTER = "insert into counter (queue, key, value) values (?, ?, ?) on conflict (queue, key)"

# Redis runs a script as one step (its documentation, "Scripting with Lua").
_ADD_WITHIN = """
local sum = 0
local counters = redis.call('HGETALL', KEYS[1])
for i = 1, #counters, 2 do
  if string.sub(counters[i], 1, #ARGV[1]) == ARGV[1] then sum = sum + counters[i + 1] end
end
if sum + ARGV[3] > tonumber(ARGV[4]) then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])
return 1
"""


class SqliteStorage(storage.SqliteStorage):  # type: ignore[misc]
    """huey's storage in SQLite, with counters that several processes may share."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, factory=_Connection, **options)

    def counters(self, keys: list[str]) -> list[int]:
        """Return the values of counters, 0 for those that do not exist. It only reads, so it works on a full disk."""
        placeholders = ",".join("?" * len(keys))
        query = f"select key, value from counter where queue = ? and key in ({placeholders})"  # noqa: S608
        values: dict[str, int] = dict(self.sql(query, (self.name, *keys), results=True))
        return [values.get(key, 0) for key in keys]

    def counters_from(self, prefix: str) -> dict[str, int]:
        """Return the counters whose keys have this prefix. It only reads, so it works on a full disk."""
        query = "select key, value from counter where queue = ? and substr(key, 1, ?) = ?"
        return dict(self.sql(query, (self.name, len(prefix), prefix), results=True))

    def add_within(self, prefix: str, key: str, amount: int, limit: int) -> bool:
        """Add to a counter, unless the counters with this prefix then exceed `limit` together."""
        total = "select coalesce(sum(value), 0) from counter where queue = ? and substr(key, 1, ?) = ?"
        # A transaction, which locks the file.
        with self.db(commit=True) as cursor:
            ((reserved,),) = cursor.execute(total, (self.name, len(prefix), prefix)).fetchall()
            if reserved + amount > limit:
                return False
            cursor.execute(f"{_SET_COUNTER} do update set value = value + excluded.value", (self.name, key, amount))
            return True

    def set_counter(self, key: str, value: int, only_if_absent: bool) -> None:
        """Set a counter."""
        conflict = "do nothing" if only_if_absent else "do update set value = excluded.value"
        self.sql(f"{_SET_COUNTER} {conflict}", (self.name, key, value), commit=True)


class _Connection(sqlite3.Connection):
    """A connection that closes itself, and does not wait for the disk at every step: a power failure may lose some."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("pragma synchronous=normal")

    def __del__(self) -> None:
        # huey leaves this to Python, which warns since 3.13. sqlite3.Error: the connection was never open.
        with suppress(sqlite3.Error):
            self.close()


@cache
def redis_storage() -> Any:
    """Return huey's storage in Redis, with counters that several processes may share.

    Raises:
        ImportError: the package redis is not installed.
    """
    import redis  # noqa: F401, PLC0415 (only for services that use it)

    spec: Any = importlib.util.find_spec("huey.storage")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    base: Any = module.RedisStorage

    class RedisStorage(base):  # type: ignore[misc]
        def counters(self, keys: list[str]) -> list[int]:
            """Return the values of counters, 0 for those that do not exist."""
            return [int(value or 0) for value in self.conn.hmget(self.counter_key, keys)]

        def counters_from(self, prefix: str) -> dict[str, int]:
            """Return the counters whose keys have this prefix."""
            found = self.conn.hgetall(self.counter_key).items()
            return {key.decode(): int(value) for key, value in found if key.startswith(prefix.encode())}

        def add_within(self, prefix: str, key: str, amount: int, limit: int) -> bool:
            """Add to a counter, unless the counters with this prefix then exceed `limit` together."""
            add = self.conn.register_script(_ADD_WITHIN)
            return bool(add(keys=[self.counter_key], args=[prefix, key, amount, limit]))

        def set_counter(self, key: str, value: int, only_if_absent: bool) -> None:
            """Set a counter."""
            (self.conn.hsetnx if only_if_absent else self.conn.hset)(self.counter_key, key, value)

    return RedisStorage


def start_threads(consumer: Any) -> None:
    """Start the threads of a consumer. Its `start` would also replace the handlers of signals."""
    for thread in (consumer.scheduler, *(thread for _, thread in consumer.worker_threads)):
        thread.start()


def stop_event(consumer: Any) -> threading.Event:
    """The event that ends the threads of a consumer."""
    event: threading.Event = consumer.stop_flag
    return event


def replace_dead_threads(consumer: Any) -> None:
    """Start new threads for those of a consumer that an error ended."""
    consumer.check_worker_health()
