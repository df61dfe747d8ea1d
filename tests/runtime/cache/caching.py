"""A store that tests can look into, a clock that they can set, and an engine with a cache."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from visage.directories import BUNDLED_MODELS
from visage.faces.results import Analysis
from visage.packs.pack import find_pack
from visage.runtime.cache_stores import Store
from visage.runtime.engine import Engine
from visage.runtime.result_cache import ResultCache
from visage.settings import Settings

# The net that enlarges small faces for every pack.
ENHANCE = find_pack("compact", BUNDLED_MODELS).enhance


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
    engine.cache = ResultCache(store, engine.pack, ENHANCE, engine.settings.jpeg_quality)
    return engine


def without_timings(analysis: Analysis) -> Analysis:
    return replace(analysis, seconds={}, cached=False)
