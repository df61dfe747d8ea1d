"""A gunicorn for each module, and its directory for temporary files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.bad_input.requests_in_bytes import BODY_LIMIT
from tests.support.clients import PATIENCE
from tests.support.service import Service, serving


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for temporary files of the service of this module."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def service(tiny_pack: Path, temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A gunicorn for this module alone, so that its tests can detect leaks."""
    log = tmp_path_factory.mktemp("bad_input") / "log"
    settings = {"VISAGE_MAX_BODY_BYTES": str(BODY_LIMIT), "VISAGE_QUEUE": "64", "TMPDIR": str(temporary)} | PATIENCE
    with serving(log, tiny_pack, WEB_CONCURRENCY="2", **settings) as service:
        yield service
