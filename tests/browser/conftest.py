"""Fixtures: one browser and one service per session, one window per test in both sizes.

Fixtures import `tests.support.window` themselves: without a browser that import skips a test, but fails a conftest.
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
    """A real service with one worker, one batch job, a queue of one photo, and the pack `compact`."""
    log = tmp_path_factory.mktemp("photo_service") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1", VISAGE_QUEUE="1") as service:
        yield service


@pytest.fixture(params=["desktop", "phone"])
def window(request: pytest.FixtureRequest, browser: Any, photo_service: Service) -> Iterator["Window"]:
    from tests.support.window import new_window  # noqa: PLC0415

    yield from new_window(browser, photo_service.url, request.param)


@pytest.fixture
def desktop(browser: Any, photo_service: Service) -> Iterator["Window"]:
    """A desktop window, for tests that do not depend on its size."""
    from tests.support.window import new_window  # noqa: PLC0415

    yield from new_window(browser, photo_service.url, "desktop")
