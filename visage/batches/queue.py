"""The queue of batches, with keys and counters beside it, in SQLite or in Redis.

A batch is in the queue at most once. A worker takes it out, chooses one of its files, and puts the batch back at the
end before it processes the file. So all batches advance at the same rate, with any number of workers.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from visage.batches.huey_internals import Huey, Message, Serializer, SqliteStorage, redis_storage
from visage.errors import BatchesUnavailable, SettingsError, StorageFull
from visage.settings import Settings

# SQLite accepts at least 999 parameters per statement (its documentation, "Limits", 9).
_KEYS_PER_QUERY = 500


class Queue:
    """The queue, and a store of keys and counters. Any number of processes and threads may use the same queue.

    All methods raise StorageFull if there is no room left, and BatchesUnavailable if Redis or the file of SQLite cannot
    be used.
    """

    def __init__(self, storage: Any, **options: Any) -> None:
        """Take a class of huey's storages and the options for it."""
        self.huey = Huey("visage", results=False, serializer=_JsonSerializer(), storage_class=storage, **options)
        self._storage = self.huey.storage
        self._add_task = self.huey.task(name="work")(self._process)
        # The consumer sets this function. It gets the ID of each batch that leaves the queue.
        self.process_next: Callable[[str], None] = lambda _batch_id: None

    def enqueue(self, batch_id: str) -> None:
        """Put a batch at the end of the queue, if it is not in the queue."""
        if self.add(_queued_key(batch_id), b"-"):
            with _translated_errors():
                self._add_task(batch_id)

    def requeue(self, batch_id: str) -> None:
        """Enqueue a batch that is only marked as queued, because a process died between two steps."""
        self.dequeued(batch_id)
        self.enqueue(batch_id)

    def queued(self) -> set[str]:
        """Return the IDs of the batches in the queue."""
        with _translated_errors():
            return {Message(*json.loads(task)).args[0] for task in self._storage.enqueued_items()}

    def dequeued(self, batch_id: str) -> None:
        """Note that a batch has left the queue, so that it can be enqueued again."""
        self.delete(_queued_key(batch_id))

    def add(self, key: str, value: bytes) -> bool:
        """Write `value` if `key` is absent; return whether it was. Only one of several callers writes."""
        with _translated_errors():
            return bool(self._storage.put_if_empty(key, value))

    def put(self, key: str, value: bytes) -> None:
        """Write `value`, over another one too."""
        with _translated_errors():
            self._storage.put_data(key, value)

    def delete(self, key: str) -> None:
        """Delete `key`, if it exists."""
        with _translated_errors():
            self._storage.delete_data(key)

    def read(self, keys: list[str]) -> dict[str, bytes]:
        """Return the values of those `keys` that exist."""
        found: dict[str, bytes] = {}
        with _translated_errors():
            for start in range(0, len(keys), _KEYS_PER_QUERY):
                found |= self._storage.peek_many(keys[start : start + _KEYS_PER_QUERY])
        return found

    def increment(self, key: str) -> int:
        """Add 1 to a counter, which begins at 0, and return the sum."""
        with _translated_errors():
            return int(self._storage.incr(key))

    def counters(self, keys: list[str]) -> list[int]:
        """Return the values of counters, 0 for those that do not exist."""
        with _translated_errors():
            return list(self._storage.counters(keys))

    def delete_counter(self, key: str) -> None:
        """Delete a counter, if it exists."""
        with _translated_errors():
            self._storage.delete_counter(key)

    def group(self, group: str) -> dict[str, int]:
        """Return the values of the counters of a group, by name."""
        with _translated_errors():
            found = self._storage.counters_from(key_of(group, ""))
            return {key.partition(".")[2]: value for key, value in found.items()}

    def add_within(self, group: str, name: str, amount: int, limit: int | None) -> bool:
        """Add `amount` to a counter, unless its group then exceeds `limit`; return whether it was added.

        A negative amount is always added. Of several callers at the same time, one after the other is served.
        """
        key = key_of(group, name)
        if limit is None or amount <= 0:
            with _translated_errors():
                self._storage.incr(key, amount)
            return True
        with _translated_errors():
            return bool(self._storage.add_within(key_of(group, ""), key, amount, limit))

    def set_in_group(self, group: str, name: str, value: int, *, only_if_absent: bool = False) -> None:
        """Set a counter of a group."""
        with _translated_errors():
            self._storage.set_counter(key_of(group, name), value, only_if_absent)

    def delete_from_group(self, group: str, name: str) -> None:
        """Delete a counter of a group, if it exists."""
        self.delete_counter(key_of(group, name))

    def _process(self, batch_id: str) -> None:
        self.process_next(batch_id)


def key_of(*parts: str | int) -> str:
    """Return the key of these parts; the first is an ID or the name of a group."""
    return ".".join(map(str, parts))


def open_queue(settings: Settings, patience: float) -> Queue:
    """Return the queue that `settings` name.

    Methods of the queue wait up to `patience` seconds for the lock of SQLite or for a response of Redis.

    Raises:
        SettingsError: the state directory or the URL of Redis cannot be used, or the package redis is missing.
    """
    if settings.batch_redis:
        return _open_redis(settings.batch_redis, patience)
    file = settings.state_dir / "batches.db"
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Queue(SqliteStorage, filename=str(file), timeout=patience)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"{file} cannot be used: {error}. VISAGE_STATE_DIR names a directory for it.") from None


def _open_redis(url: str, patience: float) -> Queue:
    try:
        import redis  # noqa: PLC0415 (only for services that use it)

        storage = redis_storage()
    except ImportError:
        raise SettingsError(
            "VISAGE_BATCH_REDIS needs the package redis, which is not installed. Run: pip install redis"
        ) from None

    try:
        pool = redis.ConnectionPool.from_url(url, socket_connect_timeout=patience, socket_timeout=patience)
    except ValueError as error:
        # The message leaves out the URL, which may contain a password.
        raise SettingsError(f"VISAGE_BATCH_REDIS cannot be used: {error}") from None
    return Queue(storage, connection_pool=pool)


class _JsonSerializer(Serializer):  # type: ignore[misc]
    """Tasks as JSON, not as pickles: write access to the queue must not allow to run code here."""

    def serialize(self, data: Message) -> bytes:
        """Return `data` as JSON."""
        return json.dumps(data).encode()

    def deserialize(self, data: bytes) -> Message:
        """Return the message of this JSON."""
        return Message(*json.loads(data))


def _queued_key(batch_id: str) -> str:
    return key_of(batch_id, "queued")


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise StorageFull for a full disk, and BatchesUnavailable for a Redis or a file that cannot be used."""
    try:
        yield
    except Exception as error:
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            raise StorageFull from error
        if isinstance(error, (OSError, sqlite3.Error)) or type(error).__module__.startswith("redis."):
            raise BatchesUnavailable("Batches cannot be looked up now; try again later.") from error
        raise
