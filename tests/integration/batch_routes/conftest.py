"""A real gunicorn with a batch worker for each module, and an app whose batches stay unprocessed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.integration.batch_routes.uploads import MOST_BYTES
from tests.support.processes import complete
from tests.support.service import Service, serving
from tests.support.waiting import wait_for
from visage.settings import Settings
from visage.web import create_app

# VISAGE_BODY_SECONDS of the service, longer than any test.
PATIENCE = 300.0
MOST_FILES = 40


@pytest.fixture(scope="module")
def service(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("batch_routes") / "log"
    settings = {
        "VISAGE_BATCH_JOBS": "2",
        "VISAGE_BODY_SECONDS": str(PATIENCE),
        "VISAGE_MAX_BATCH_FILES": str(MOST_FILES),
        "VISAGE_MAX_BATCH_BYTES": str(MOST_BYTES),
    }
    with serving(log, tiny_pack, WEB_CONCURRENCY="1", **settings) as service:
        assert wait_for(lambda: complete(service, 1))
        yield service


@pytest.fixture
def idle(tiny_pack: Path, tmp_path: Path) -> FlaskClient:
    """An app whose batches no worker processes."""
    app = create_app(Settings(pack=str(tiny_pack), state_dir=tmp_path / "state", max_batch_files=5))
    return app.test_client()
