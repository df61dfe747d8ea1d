"""Fixtures for the result cache: a store without limits, and an engine that uses it."""

from pathlib import Path

import pytest

from tests.runtime.cache.caching import DictStore, caching_engine
from visage.runtime.engine import Engine


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def caching(tiny_pack: Path, store: DictStore) -> Engine:
    return caching_engine(tiny_pack, store)
