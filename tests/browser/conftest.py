"""Fixtures: one browser and one service per session, one window per test in both sizes, and photos.

Fixtures import `tests.support.window` themselves: without a browser that import skips a test, but fails a conftest.
"""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

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


@pytest.fixture(scope="session")
def two_faces(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """The astronaut, and beside her the same photo at half the size."""
    small = np.full_like(astronaut, 128)
    small[128:384, 128:384] = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    path = tmp_path_factory.mktemp("photos") / "two.png"
    cv2.imwrite(str(path), np.hstack([astronaut, small]))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos in a directory tree, one of them damaged, and a text file."""
    from tests.support.window import ASTRONAUT  # noqa: PLC0415

    folder = tmp_path / "holiday"
    (folder / "rome").mkdir(parents=True)
    for name in ("one.jpg", "rome/two.jpg"):
        shutil.copy(ASTRONAUT, folder / name)
    (folder / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:3000])
    (folder / "notes.txt").write_text("Milk")
    return folder


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "holiday.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
        for name in ("one.jpg", "rome/two.jpg", "broken.jpg"):
            writer.write(folder / name, name)
    return path
