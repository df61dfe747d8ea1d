"""One browser and one service a session; a window a test, in both sizes.

Nothing of the browser is imported before a test asks for it: where there is none, tests are skipped, this file is not.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.service import Service, serving

if TYPE_CHECKING:
    from tests.support.window import Window


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from tests.support.window import open_browser, sync_api  # noqa: PLC0415

    with sync_api.sync_playwright() as playwright:
        browser = open_browser(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def photo_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real gunicorn with one worker for photos, one photo of batches at a time, and the nets of the repo."""
    log = tmp_path_factory.mktemp("photo_service") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1", VISAGE_QUEUE="1") as service:
        yield service


@pytest.fixture(params=["desktop", "phone"])
def window(request: pytest.FixtureRequest, browser: Any, photo_service: Service) -> Iterator["Window"]:
    from tests.support.window import new_window  # noqa: PLC0415

    yield from new_window(browser, photo_service.url, request.param)


@pytest.fixture
def desktop(browser: Any, photo_service: Service) -> Iterator["Window"]:
    """A window for what has nothing to do with its size."""
    from tests.support.window import new_window  # noqa: PLC0415

    yield from new_window(browser, photo_service.url, "desktop")
