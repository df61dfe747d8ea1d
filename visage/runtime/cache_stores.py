"""Where cached results are stored: in the memory of a worker, or in a Redis that workers share."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from visage.errors import SettingsError
from visage.logs import logger
from visage.settings import Settings

# Memory per entry besides its content: the key and the bookkeeping of cachetools. With keys of 64 digits, tracemalloc
# counts at most 590 bytes.
ENTRY_BYTES = 640

REDIS_PREFIX = "visage:answer:"

# A Redis in the same network answers in a millisecond. After a failure it is not used for a while: one photo waits for
# the timeout, and the log gets one line per pause.
REDIS_TIMEOUT_SECONDS = 0.2
REDIS_PAUSE_SECONDS = 10.0


class Store(Protocol):
    """Stores contents by key until they expire. A content that is missing or unreachable is None. Nothing is raised."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, content: bytes) -> None: ...


def open_store(settings: Settings) -> Store | None:
    """Open the store that `settings` select, or return None if the cache is off.

    Raises:
        SettingsError: a package that the store needs is not installed, or the Redis URL is invalid.
    """
    if not settings.cache_bytes:
        return None
    if settings.cache_url:
        return RedisStore(settings.cache_url, settings.cache_bytes, settings.cache_seconds)
    return MemoryStore(settings.cache_bytes, settings.cache_seconds)


class MemoryStore:
    """At most `max_bytes` of contents in memory, each for `seconds`. The least recently used content is evicted first.

    Expired contents free their memory at the next `set`.
    """

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Create an empty store.

        Raises:
            SettingsError: the package cachetools is not installed.
        """
        try:
            from cachetools import TTLCache  # noqa: PLC0415 (the core needs cv2 and numpy only)
        except ImportError:
            raise SettingsError(
                "VISAGE_CACHE_BYTES needs the package cachetools, which is not installed. Run: pip install cachetools"
            ) from None
        self._lock = threading.Lock()
        self._contents: TTLCache[str, bytes] = TTLCache(max_bytes, seconds, clock, getsizeof=_entry_bytes)

    @property
    def used_bytes(self) -> int:
        """The memory that the contents take now, in bytes, without expired ones."""
        with self._lock:
            return int(self._contents.currsize)

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self._contents.get(key)

    def set(self, key: str, content: bytes) -> None:
        # TTLCache raises ValueError for a content larger than the whole store, and leaves the others as they are.
        with self._lock, suppress(ValueError):
            self._contents[key] = content


def _entry_bytes(content: bytes) -> int:
    return len(content) + ENTRY_BYTES


class RedisStore:
    """Contents in the Redis at `url`, each for `seconds`. Contents larger than `max_content_bytes` are not stored.

    The total size is limited by `maxmemory` and `maxmemory-policy` of that Redis.
    """

    def __init__(self, url: str, max_content_bytes: int, seconds: int) -> None:
        """Create the client. Connections are opened at first use, so each forked process has its own.

        Raises:
            SettingsError: the package redis is not installed, or the URL is invalid.
        """
        try:
            import redis  # noqa: PLC0415 (an optional dependency)
        except ImportError:
            raise SettingsError(
                "VISAGE_CACHE_URL needs the package redis, which is not installed. Run: pip install redis"
            ) from None
        try:
            self._redis = redis.Redis.from_url(
                url, socket_connect_timeout=REDIS_TIMEOUT_SECONDS, socket_timeout=REDIS_TIMEOUT_SECONDS
            )
        except ValueError as error:
            # The message omits the URL, which may contain a password.
            raise SettingsError(f"VISAGE_CACHE_URL cannot be used: {error}") from None
        self._max_content_bytes = max_content_bytes
        self._seconds = seconds
        self._lock = threading.Lock()
        self._paused_until = 0.0

    def get(self, key: str) -> bytes | None:
        content = self._call(lambda: self._redis.get(REDIS_PREFIX + key))
        return content if isinstance(content, bytes) else None

    def set(self, key: str, content: bytes) -> None:
        if len(content) <= self._max_content_bytes:
            self._call(lambda: self._redis.set(REDIS_PREFIX + key, content, ex=self._seconds))

    def _call(self, command: Callable[[], Any]) -> Any:
        """Run a Redis command. Returns None if it fails, and during the pause after a failure."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return command()
        except Exception as error:
            # Any failure, also an unresolvable host name: photos are processed without the cache.
            self._pause(error)
            return None

    def _pause(self, error: Exception) -> None:
        now = time.monotonic()
        with self._lock:
            # Several threads can fail at the same time; the first one writes the log line.
            is_logged = now < self._paused_until
            self._paused_until = now + REDIS_PAUSE_SECONDS
        if not is_logged:
            fields = {"error": f"{type(error).__name__}: {error}", "paused_seconds": REDIS_PAUSE_SECONDS}
            logger.warning("cache_failed", extra={"fields": fields})
