"""Answers that were given before, by all that decides them: the photo's bytes, the caller's wishes, pack and settings.

They are kept in the memory of each worker, or in a Redis that several machines share. Of cachelib nothing would be
left: its memory counts items, where one may have 1 KB and the next 10 MB, and drops by age, not by use; and its Redis
unpickles what it finds, so that whoever can write there could run code here. What is kept here is JSON and a JPEG.
"""

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import cv2

from visage import __version__
from visage.errors import SettingsError
from visage.faces.analyzer import Options
from visage.faces.face import Face
from visage.faces.results import Analysis
from visage.images.boxes import Box
from visage.logs import logger
from visage.packs.pack import Pack
from visage.settings import Settings

# To be raised with every change of what is stored, and of what a photo is answered.
FORMAT = 1

# What an entry takes besides its content, for the key and its places in both orders: at most 370 bytes were measured.
ENTRY_BYTES = 512

REDIS_PREFIX = "visage:answer:"

# A Redis nearby answers in a millisecond. One that does not is asked again only after a while: a photo waits for it
# once, and the log has one line for the whole pause.
REDIS_TIMEOUT_SECONDS = 0.2
REDIS_PAUSE_SECONDS = 10.0


class Store(Protocol):
    """Keeps contents by key for a while. What it does not have, or cannot get, is None; it raises nothing."""

    def get(self, key: str) -> bytes | None: ...

    def set(self, key: str, content: bytes) -> None: ...


class AnswerCache:
    """The answers in `store`, for one pack and one quality of annotated pictures."""

    def __init__(self, store: Store, pack: Pack, jpeg_quality: int) -> None:
        self._store = store
        # What is the same for every photo is digested once. The pack is there with all that its manifest says: the
        # checksums of its files, and what its maker may change without a new version. Another OpenCV decodes and
        # rounds a little differently.
        self._start = hashlib.sha256(
            _as_text(
                {
                    "format": FORMAT,
                    "visage": __version__,
                    "opencv": cv2.__version__,
                    "pack": asdict(pack),
                    "jpeg_quality": jpeg_quality,
                }
            )
        )

    def key(self, photo: bytes, options: Options, *, annotated: bool) -> str:
        """What the answer to `photo` is kept by."""
        digest = self._start.copy()
        digest.update(_as_text({"options": asdict(options), "annotated": annotated}))
        # JSON has no such byte, so that no photo can pass for a part of what stands before it.
        digest.update(b"\0")
        digest.update(photo)
        return digest.hexdigest()

    def get(self, key: str) -> Analysis | None:
        """The answer as it was `put`, without its times; None where it is not known, or not as it was put."""
        stored = self._store.get(key)
        return None if stored is None else _as_analysis(key, stored)

    def put(self, key: str, analysis: Analysis) -> None:
        """Keep `analysis` if there is room for it."""
        self._store.set(key, _as_bytes(key, analysis))


class MemoryStore:
    """At most `max_bytes`, none of it older than `seconds`; what was not asked for longest goes first.

    What has expired goes when the next content is looked for or comes.
    """

    def __init__(self, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        # In the order of their last use.
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        # In the order in which they came, which is that in which they expire.
        self._expiries: OrderedDict[str, float] = OrderedDict()
        self._kept_bytes = 0

    @property
    def kept_bytes(self) -> int:
        """What it keeps at this moment, in bytes of memory."""
        return self._kept_bytes

    def get(self, key: str) -> bytes | None:
        with self._lock:
            self._drop_expired()
            if key not in self._contents:
                return None
            self._contents.move_to_end(key)
            return self._contents[key]

    def set(self, key: str, content: bytes) -> None:
        size = len(content) + ENTRY_BYTES
        if size > self._max_bytes:
            return
        with self._lock:
            self._drop_expired()
            if key in self._contents:
                self._drop(key)
            while self._kept_bytes + size > self._max_bytes:
                self._drop(next(iter(self._contents)))
            self._contents[key] = content
            self._expiries[key] = self._clock() + self._seconds
            self._kept_bytes += size

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._expiries and next(iter(self._expiries.values())) <= now:
            self._drop(next(iter(self._expiries)))

    def _drop(self, key: str) -> None:
        del self._expiries[key]
        self._kept_bytes -= len(self._contents.pop(key)) + ENTRY_BYTES


class RedisStore:
    """What the Redis at `url` keeps, each for `seconds` and none larger than `largest` bytes.

    How much it keeps in all is for its own `maxmemory` and `maxmemory-policy` to bound.
    """

    def __init__(self, url: str, largest: int, seconds: int) -> None:
        """Connect to nothing yet: connections are opened when they are needed, in each process that forks.

        Raises:
            SettingsError: the package redis is missing, or the URL cannot be used.
        """
        try:
            import redis  # noqa: PLC0415 (only for those who use it)
        except ImportError:
            raise SettingsError(
                "VISAGE_CACHE_URL needs the package redis, which is not installed. Run: pip install redis"
            ) from None
        try:
            self._redis = redis.Redis.from_url(
                url, socket_connect_timeout=REDIS_TIMEOUT_SECONDS, socket_timeout=REDIS_TIMEOUT_SECONDS
            )
        except ValueError as error:
            # Without the URL, which may have a password in it.
            raise SettingsError(f"VISAGE_CACHE_URL cannot be used: {error}") from None
        self._largest = largest
        self._seconds = seconds
        self._lock = threading.Lock()
        self._paused_until = 0.0

    def get(self, key: str) -> bytes | None:
        content = self._ask(lambda: self._redis.get(REDIS_PREFIX + key))
        return content if isinstance(content, bytes) else None

    def set(self, key: str, content: bytes) -> None:
        if len(content) <= self._largest:
            self._ask(lambda: self._redis.set(REDIS_PREFIX + key, content, ex=self._seconds))

    def _ask(self, question: Callable[[], Any]) -> Any:
        """What Redis says; None where it fails, and without asking for a while after it failed."""
        if time.monotonic() < self._paused_until:
            return None
        try:
            return question()
        except Exception as error:
            # Whatever it is that fails, names that do not resolve included: a photo can be answered without.
            self._pause(error)
            return None

    def _pause(self, error: Exception) -> None:
        now = time.monotonic()
        with self._lock:
            # Of several threads whose questions fail together, one says so.
            said = now < self._paused_until
            self._paused_until = now + REDIS_PAUSE_SECONDS
        if not said:
            fields = {"error": f"{type(error).__name__}: {error}", "paused_seconds": REDIS_PAUSE_SECONDS}
            logger.warning("cache_failed", extra={"fields": fields})


def open_cache(settings: Settings, pack: Pack) -> AnswerCache | None:
    """The cache that `settings` ask for, if they do.

    Raises:
        SettingsError: Redis is asked for, and the package redis is missing or the URL cannot be used.
    """
    if not settings.cache_bytes:
        return None
    store: Store
    if settings.cache_url:
        store = RedisStore(settings.cache_url, settings.cache_bytes, settings.cache_seconds)
    else:
        store = MemoryStore(settings.cache_bytes, settings.cache_seconds)
    return AnswerCache(store, pack, settings.jpeg_quality)


def _as_text(value: dict[str, Any]) -> bytes:
    """JSON, the same wherever a pack's folder lies."""

    def plain(each: object) -> Any:
        if isinstance(each, Path):
            return each.name
        if isinstance(each, Enum):
            return each.value
        # Better no answer than one by a key in which something is missing.
        raise TypeError(f"{each!r} cannot be a part of a key")

    return json.dumps(value, default=plain).encode()


def _as_bytes(key: str, analysis: Analysis) -> bytes:
    """A checksum, the length of the JSON, the JSON, the picture."""
    plain = asdict(analysis)
    picture = plain.pop("annotated") or b""
    del plain["seconds"], plain["cached"]
    text = json.dumps(plain).encode()
    content = b"".join((len(text).to_bytes(4), text, picture))
    return _checksum(key, content) + content


def _as_analysis(key: str, stored: bytes) -> Analysis | None:
    """What `_as_bytes` made the bytes of; None where they are altered, cut short or another key's."""
    size = hashlib.sha256().digest_size
    checksum, content = stored[:size], stored[size:]
    if checksum != _checksum(key, content):
        return None
    # What passed was written by this code: the format is in the key, and the key in the checksum.
    end = 4 + int.from_bytes(content[:4])
    plain = json.loads(content[4:end])
    faces = tuple(_as_face(face) for face in plain.pop("faces"))
    return Analysis(**plain, faces=faces, annotated=content[end:] or None, seconds={}, cached=True)


def _as_face(plain: dict[str, Any]) -> Face:
    return Face(**plain | {"box": Box(**plain["box"]), "age_range": tuple(plain["age_range"])})


def _checksum(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()
