"""A service that enhances slowly, so that tests can look at it while it does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clients import PATIENCE
from tests.support.service import Service, serving


@pytest.fixture
def slow(tiny_pack: Path, slow_pack: Path, tmp_path: Path) -> Iterator[Service]:
    """A service with one worker, whose tiles take a third of a second each."""
    settings = {"VISAGE_SUPERRES_PACK": str(slow_pack), "VISAGE_TILE": "128", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "log", tiny_pack, VISAGE_BATCH_JOBS="0", **PATIENCE, **settings) as service:
        yield service
