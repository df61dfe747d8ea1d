"""nginx in front of a real service, for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.nginx.proxy import BODY_SECONDS, MAX_BATCH_BYTES, MAX_BODY_BYTES, port_of, proxied
from tests.support.service import Service, serving


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("behind_nginx") / "log"
    settings = {
        "VISAGE_BODY_SECONDS": str(BODY_SECONDS),
        "VISAGE_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "VISAGE_MAX_BATCH_BYTES": str(MAX_BATCH_BYTES),
        "VISAGE_QUEUE": "64",
    }
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        yield service


@pytest.fixture(scope="module")
def nginx(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with proxied(tmp_path_factory.mktemp("nginx"), port_of(service)) as nginx:
        yield nginx
