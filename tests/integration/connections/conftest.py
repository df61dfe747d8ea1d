"""Two real services for each module: one with a long time limit, one with a short one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.connections.sockets import LONG_SECONDS, SETTINGS, SHORT_SECONDS
from tests.support.service import Service, serving


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose time limit is longer than any test."""
    log = tmp_path_factory.mktemp("slow_clients") / "log"
    # Some responses fit into the kernel's buffers. Their connections are idle then, and shall stay open.
    patience = {"VISAGE_BODY_SECONDS": str(LONG_SECONDS), "GUNICORN_CMD_ARGS": f"--keep-alive {LONG_SECONDS:.0f}"}
    with serving(log, tiny_pack, **patience, **SETTINGS) as service:
        yield service


@pytest.fixture(scope="module")
def impatient_service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose time limit is short."""
    log = tmp_path_factory.mktemp("impatient_service") / "log"
    with serving(log, tiny_pack, VISAGE_BODY_SECONDS=str(SHORT_SECONDS), **SETTINGS) as service:
        yield service
