"""Who works on what: the queue of batches, claims on their files and results, in SQLite or in a Redis.

A batch stands in the queue at most once. Who takes it out takes one of its files, and puts it back at the end before
beginning with that: so all that wait advance alike, with as many workers as there are.

A claim is a key that only one can put there, one for each attempt at a file. It needs no renewal and no clock: it is
good as long as its owner lives, whose pulse is a counter that goes on.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from visage.batches.batch import End, Result, State, end_as_json, end_from_json, result_as_json, result_from_json
from visage.batches.huey_subset import Huey, Message, Serializer, SqliteStorage, redis_storage
from visage.errors import BatchesUnavailable, SettingsError, StorageFull
from visage.settings import Settings

# A file that was begun so often, and whose worker died every time, is what kills them.
MOST_ATTEMPTS = 3
_ATTEMPTS = range(1, MOST_ATTEMPTS + 1)

CANCELLED = End(State.CANCELLED)

# Of each batch: places handed out, files that are done, files that failed.
_COUNTERS = ("next", "done", "failed")

# Stands for a value where only the key matters, and for an owner that does not live.
_NOBODY = b"-"

# SQLite takes 999 and more parameters (its documentation, "Limits", 9).
_KEYS_AT_ONCE = 500


class Queue:
    """The queue, and what is known of each file of the batches in it.

    All methods raise StorageFull where there is no room left, and BatchesUnavailable where Redis or the file cannot be
    used.
    """

    def __init__(self, storage: Any, **options: Any) -> None:
        self.huey = Huey("visage", results=False, serializer=_Json(), storage_class=storage, **options)
        self._storage = self.huey.storage
        self._enqueue = self.huey.task(name="work")(self._work)
        # Told the id of a batch whose turn has come, where there is a consumer.
        self.worker: Callable[[str], None] = lambda _batch_id: None

    def _work(self, batch_id: str) -> None:
        self.worker(batch_id)

    def ask(self, batch_id: str) -> None:
        """Have a batch stand in the queue; once is enough."""
        with _told():
            if self._storage.put_if_empty(_key(batch_id, "queued"), _NOBODY):
                self._enqueue(batch_id)

    def ask_anew(self, batch_id: str) -> None:
        """The same for a batch that does not stand there, even if it was to: its worker died between two steps."""
        self.taken_out(batch_id)
        self.ask(batch_id)

    def waiting(self) -> set[str]:
        """The batches that stand in the queue."""
        with _told():
            return {Message(*json.loads(task)).args[0] for task in self._storage.enqueued_items()}

    def taken_out(self, batch_id: str) -> None:
        """Note that a batch stands in the queue no more."""
        with _told():
            self._storage.delete_data(_key(batch_id, "queued"))

    def next_place(self, batch_id: str) -> int:
        """The places 0, 1, ... of a batch's files, each to one caller only; they go on beyond the last."""
        with _told():
            place: int = self._storage.incr(_key(batch_id, "next")) - 1
        return place

    def claim(self, batch_id: str, number: int, attempt: int, owner: str) -> bool:
        """Take a file for this attempt; False where somebody has it."""
        with _told():
            return bool(self._storage.put_if_empty(_key(batch_id, number, attempt), owner.encode()))

    def unclaim(self, batch_id: str, number: int, attempt: int) -> None:
        """Take a claim back, as if it had never been."""
        with _told():
            self._storage.delete_data(_key(batch_id, number, attempt))

    def give_up(self, batch_id: str, number: int, attempt: int) -> None:
        """Leave a file that is claimed to the next attempt."""
        with _told():
            self._storage.put_data(_key(batch_id, number, attempt), _NOBODY)

    def last_claim(self, batch_id: str, number: int) -> tuple[int, str]:
        """How many attempts at a file there were, and who made the last; of none, nobody."""
        claims = self._peek([_key(batch_id, number, attempt) for attempt in _ATTEMPTS])
        return len(claims), claims.get(_key(batch_id, number, len(claims)), _NOBODY).decode()

    def record(self, batch_id: str, number: int, result: Result) -> bool:
        """Note the result of a file; False where it has one, which stays."""
        with _told():
            key = _key(batch_id, number)
            first: bool = self._storage.put_if_empty(key, json.dumps(result_as_json(result)).encode())
            return first

    def count(self, batch_id: str, kind: str) -> None:
        """Count one more file as `done` or `failed`."""
        with _told():
            self._storage.incr(_key(batch_id, kind))

    def counts(self, batch_id: str) -> tuple[int, int, int]:
        """How many files were handed out, done and failed; of files in hand when a worker was killed, one may lack."""
        with _told():
            handed_out, done, failed = self._storage.counters([_key(batch_id, kind) for kind in _COUNTERS])
        return handed_out, done, failed

    def has_result(self, batch_id: str, number: int) -> bool:
        """Whether the result of a file is noted."""
        return bool(self._peek([_key(batch_id, number)]))

    def results(self, batch_id: str, numbers: Iterable[int]) -> dict[int, Result]:
        """What is noted of a batch's files, by number."""
        keys = {_key(batch_id, number): number for number in numbers}
        return {keys[key]: result_from_json(json.loads(value)) for key, value in self._peek(list(keys)).items()}

    def end(self, batch_id: str, end: End) -> End:
        """Note how a batch ended; what counts is what was noted first, and comes back."""
        with _told():
            key = _key(batch_id, "end")
            if self._storage.put_if_empty(key, json.dumps(end_as_json(end)).encode()):
                return end
        return self.ended(batch_id) or end

    def cancel(self, batch_id: str) -> None:
        """Note that nobody wants a batch any more, however it ended."""
        with _told():
            self._storage.put_data(_key(batch_id, "end"), json.dumps(end_as_json(CANCELLED)).encode())

    def ended(self, batch_id: str) -> End | None:
        """How a batch ended, if it has."""
        for value in self._peek([_key(batch_id, "end")]).values():
            return end_from_json(json.loads(value))
        return None

    def forget_files(self, batch_id: str, numbers: Iterable[int]) -> None:
        """Forget what is known of a batch's files."""
        keys = [[_key(batch_id, number), *(_key(batch_id, number, each) for each in _ATTEMPTS)] for number in numbers]
        for key in self._peek(list(itertools.chain(*keys))):
            with _told():
                self._storage.delete_data(key)

    def forget(self, batch_id: str) -> None:
        """Forget a batch, but for its files."""
        with _told():
            for kind in _COUNTERS:
                self._storage.delete_counter(_key(batch_id, kind))
            for kind in ("queued", "end"):
                self._storage.delete_data(_key(batch_id, kind))

    def beat(self, owner: str) -> None:
        """Give a sign that an owner of claims lives."""
        with _told():
            self._storage.incr(_key("pulse", owner))

    def pulse(self, owner: str) -> int:
        """How many signs an owner of claims has given; 0 after its end."""
        with _told():
            signs: int = self._storage.counters([_key("pulse", owner)])[0]
        return signs

    def bury(self, owner: str) -> None:
        """Note that an owner of claims lives no more."""
        with _told():
            self._storage.delete_counter(_key("pulse", owner))

    def _peek(self, keys: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with _told():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                found |= self._storage.peek_many(keys[start : start + _KEYS_AT_ONCE])
        return found


def open_queue(settings: Settings, patience: float) -> Queue:
    """The queue that `settings` name.

    For `patience` seconds others may keep SQLite for themselves, each for a millisecond, and Redis an answer back.

    Raises:
        SettingsError: the state directory cannot be used, the package redis is missing or its URL cannot be used.
    """
    if settings.batch_redis:
        return _open_redis(settings.batch_redis, patience)
    file = settings.state_dir / "batches.db"
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Queue(_Sqlite, filename=str(file), timeout=patience, factory=_Connection)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"{file} cannot be used: {error}. VISAGE_STATE_DIR names a directory for it.") from None


def _open_redis(url: str, patience: float) -> Queue:
    try:
        import redis  # noqa: PLC0415 (only for those who use it)

        storage = redis_storage()
    except ImportError:
        raise SettingsError(
            "VISAGE_BATCH_REDIS needs the package redis, which is not installed. Run: pip install redis"
        ) from None

    class Redis(storage):  # type: ignore[misc, valid-type]
        def counters(self, keys: list[str]) -> list[int]:
            """The values of counters, 0 where there is none."""
            return [int(value or 0) for value in self.conn.hmget(self.counter_key, keys)]

    try:
        pool = redis.ConnectionPool.from_url(url, socket_connect_timeout=patience, socket_timeout=patience)
    except ValueError as error:
        # Without the URL, which may have a password in it.
        raise SettingsError(f"VISAGE_BATCH_REDIS cannot be used: {error}") from None
    return Queue(Redis, connection_pool=pool)


class _Connection(sqlite3.Connection):
    """Closed when nobody has it any more: huey leaves that to Python, which warns of it since 3.13."""

    def __del__(self) -> None:
        # It may never have been open.
        with suppress(sqlite3.Error):
            self.close()


class _Sqlite(SqliteStorage):  # type: ignore[misc]
    """huey's, without waiting for the disk at every step: what ends with a process is never lost by that."""

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        connection.execute("pragma synchronous=normal")
        return connection

    def counters(self, keys: list[str]) -> list[int]:
        """The values of counters, 0 where there is none; without writing, for which there may be no room."""
        places = ",".join("?" * len(keys))
        query = f"select key, value from counter where queue = ? and key in ({places})"  # noqa: S608
        values: dict[str, int] = dict(self.sql(query, (self.name, *keys), results=True))
        return [values.get(key, 0) for key in keys]


class _Json(Serializer):  # type: ignore[misc]
    """Tasks as JSON: who can write to the queue, a Redis perhaps, must not be able to run code here by that."""

    def _serialize(self, data: Message) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Message:
        return Message(*json.loads(data))


def _key(*parts: str | int) -> str:
    return ".".join(map(str, parts))


@contextmanager
def _told() -> Iterator[None]:
    """Tell a full disk, and a Redis or file that cannot be used, as errors of ours."""
    try:
        yield
    except Exception as error:
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            raise StorageFull from error
        if isinstance(error, (OSError, sqlite3.Error)) or type(error).__module__.startswith("redis."):
            raise BatchesUnavailable("Batches cannot be looked up now; try again later.") from error
        raise
