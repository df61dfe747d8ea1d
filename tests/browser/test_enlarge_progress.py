"""Real progress of an enlargement: tile by tile, until the photo is there or the user cancels it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests

from tests.support.service import Service, events, free_port, serving
from tests.support.waiting import wait_for
from tests.support.window import ASTRONAUT, Window, expect, new_window

# What the page says of the time that is left, and the share that its bar shows.
TEXT_AND_SHARE = """() => [
    document.getElementById("enlarge-left").textContent, document.getElementById("enlarge-progress").value,
]"""

# Tiles of the slow net, each of which takes a third of a second.
SLOW = {"VISAGE_TILE": "128", "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}


@pytest.fixture
def slow(slow_pack: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "log", "compact", VISAGE_SUPERRES_PACK=str(slow_pack), **SLOW) as service:
        yield service


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """A picture of a dozen tiles."""
    path = tmp_path / "wall.png"
    cv2.imwrite(str(path), np.full((300, 300, 3), 127, np.uint8))
    return path


@pytest.fixture(params=["desktop", "phone"])
def window(request: pytest.FixtureRequest, browser: Any, slow: Service) -> Iterator[Window]:
    yield from new_window(browser, slow.url, request.param)


def test_the_bar_shows_the_tiles_that_are_done_and_the_time_that_is_left(window: Window, wall: Path) -> None:
    page = window.open("enlarge")
    page.get_by_label("Choose a photo", exact=True).set_input_files(wall)

    left = page.locator("#enlarge-left")
    expect(left).to_contain_text("left")
    # Both at once: between two questions a tile may be done.
    shown, share = page.evaluate(TEXT_AND_SHARE)
    assert window.violations() == []
    expect(left).not_to_have_text(shown)
    _, later = page.evaluate(TEXT_AND_SHARE)

    assert 0 < share < later < 1
    expect(page.locator("#enlarge-status")).to_contain_text("wall.png: 900 ")
    expect(left).to_be_hidden()
    expect(page.locator("#enlarge-progress")).to_be_hidden()


def test_cancel_stops_the_work_of_the_service_between_two_tiles(window: Window, slow: Service) -> None:
    page = window.open("enlarge")
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("#enlarge-left")).to_contain_text("left")

    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#enlarge-status")).to_have_text("astronaut.jpg was not enlarged.")
    expect(page.locator("#enlarge-left")).to_be_hidden()
    assert wait_for(lambda: "enhancement_ended" in slow.log.read_text())
    [line] = [each for each in events(slow.log) if each["event"] == "enhancement_ended"]
    # A picture that was finished has its stages there.
    assert "stages" not in line
    with ASTRONAUT.open("rb") as photo:
        assert requests.post(f"{slow.url}/predict", data=photo, timeout=60).status_code == 200


def test_an_enlargement_begins_again_after_the_service_restarts(browser: Any, slow_pack: Path, tmp_path: Path) -> None:
    # A service that stops finishes only what takes less than ten seconds.
    photo = tmp_path / "wall.png"
    cv2.imwrite(str(photo), np.full((1500, 1500, 3), 127, np.uint8))
    port = str(free_port())
    for window in new_window(browser, f"http://127.0.0.1:{port}", "desktop"):
        with serving(tmp_path / "log", "compact", PORT=port, VISAGE_SUPERRES_PACK=str(slow_pack), **SLOW):
            page = window.open("enlarge")
            page.get_by_label("Choose a photo", exact=True).set_input_files(photo)
            expect(page.locator("#enlarge-left")).to_contain_text("left")
        expect(page.locator("#enlarge-status")).to_contain_text("Trying again in")
        expect(page.locator("#enlarge-left")).to_be_hidden()

        with serving(tmp_path / "log", "compact", PORT=port, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0"):
            expect(page.locator("#enlarge-status")).to_contain_text("wall.png: 4500 ")
