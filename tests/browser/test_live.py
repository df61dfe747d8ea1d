"""The camera's frames, one after the other, as fast as the service answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, PATIENCE, Window, expect, new_window, open_browser


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film for the camera: the astronaut, who keeps still."""
    film = tmp_path_factory.mktemp("camera") / "astronaut.mjpeg"
    film.write_bytes(ASTRONAUT.read_bytes() * 2)
    return film


@pytest.fixture(scope="module")
def filmed(browser: Any, camera: Path) -> Iterator[Any]:
    """A browser whose camera sees the astronaut."""
    filmed = open_browser(browser.browser_type, f"--use-file-for-fake-video-capture={camera}")
    yield filmed
    filmed.close()


@pytest.fixture(params=["desktop", "phone"])
def before_camera(request: pytest.FixtureRequest, filmed: Any, photo_service: Service) -> Iterator[Window]:
    yield from new_window(filmed, photo_service.url, request.param, permissions=["camera"])


def test_faces_before_the_camera_are_marked_and_the_rate_is_shown(before_camera: Window) -> None:
    page = before_camera.open("live")

    page.get_by_role("button", name="Start camera").click()

    expect(page.locator("#live-status")).to_have_text("1 face.")
    expect(page.locator("#live-photo .tag")).to_contain_text("Female")
    expect(page.locator("#live-pace")).to_contain_text(" frames a second")
    assert before_camera.violations() == []


def test_one_frame_is_in_flight_at_a_time(before_camera: Window) -> None:
    page = before_camera.open("live")
    at_once: list[int] = []
    flying: set[Any] = set()

    def begin(request: Any) -> None:
        flying.add(request)
        at_once.append(len(flying))

    page.on("request", begin)
    page.on("requestfinished", lambda request: flying.discard(request))  # noqa: PLW0108
    page.get_by_role("button", name="Start camera").click()
    for _ in range(PATIENCE // 50):
        if len(at_once) > 10:
            break
        page.wait_for_timeout(50)

    assert len(at_once) > 10
    assert set(at_once) == {1}


def test_the_keyboard_alone_starts_and_stops_the_camera(before_camera: Window) -> None:
    page = before_camera.open("live")
    before_camera.press_until("Tab", "#live-start")

    page.keyboard.press("Enter")
    expect(page.locator("#live-pace")).to_contain_text("frames a second")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Start camera")).to_be_focused()
    assert page.evaluate("document.getElementById('live-video').srcObject") is None


def test_the_camera_is_off_in_other_views(before_camera: Window) -> None:
    page = before_camera.open("live")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#live-pace")).to_contain_text("frames a second")

    page.get_by_role("link", name="Look").click()
    page.get_by_role("heading", name="Look at faces").wait_for()

    assert page.evaluate("document.getElementById('live-video').srcObject") is None


CAMERAS = """() => {
    // Every stream that the page was ever given; a slow visitor gives it, where `wait` says so.
    window.streams = [];
    window.wait = 0;
    const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wish) => {
        await new Promise((resolve) => { setTimeout(resolve, window.wait); });
        const stream = await given(wish);
        window.streams.push(stream);
        return stream;
    };
}"""

SHOWN = "document.getElementById('live-video').srcObject?.getVideoTracks()[0].getSettings().deviceId"

ON = "window.streams.flatMap((stream) => stream.getTracks()).filter(({ readyState }) => readyState === 'live').length"


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_other_camera_is_shown_and_the_keyboard_stays_where_it_is(
    browser: Any, photo_service: Service, size: str
) -> None:
    two = open_browser(browser.browser_type, "--use-fake-device-for-media-stream=device-count=2")
    for window in new_window(two, photo_service.url, size, permissions=["camera"]):
        page = window.open("live")
        page.evaluate(CAMERAS)
        page.get_by_role("button", name="Start camera").click()
        expect(page.locator("#live-pace")).to_contain_text("frames a second")
        first = page.evaluate(SHOWN)

        window.press_until("Tab", "#live-turn")
        page.keyboard.press("Enter")
        page.wait_for_function(f"first => ![first, undefined].includes({SHOWN})", arg=first)
        expect(page.locator("#live-pace")).to_contain_text("frames a second")
        expect(page.get_by_role("button", name="Other camera")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_function(f"first => {SHOWN} === first", arg=first)
        expect(page.locator("#live-pace")).to_contain_text("frames a second")

        assert page.evaluate(ON) == 1
    two.close()


def test_a_camera_that_is_no_more_wanted_when_it_is_given_is_not_left_on(before_camera: Window) -> None:
    page = before_camera.open("live")
    page.evaluate(CAMERAS)
    page.evaluate("window.wait = 500")
    page.get_by_role("button", name="Start camera").click()
    page.get_by_role("button", name="Stop camera").click()
    page.evaluate("window.wait = 0")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#live-status")).to_have_text("1 face.")

    page.evaluate(
        "async () => { while (window.streams.length < 2) await new Promise((given) => { setTimeout(given, 20); }); }"
    )

    assert page.evaluate(ON) == 1
    expect(page.locator("#live-status")).to_have_text("1 face.")


def test_a_busy_service_is_asked_again(before_camera: Window) -> None:
    page = before_camera.open("live")
    again = before_camera.refuse_once("**/predict?*")

    page.get_by_role("button", name="Start camera").click()

    expect(page.locator("#live-status")).to_have_text("The service is busy. Trying again in a second.")
    again.wait().continue_()
    expect(page.locator("#live-status")).to_have_text("1 face.")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_service_that_is_cut_off_is_said_and_the_camera_stops(filmed: Any, tmp_path: Path, size: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for window in new_window(filmed, url, size, permissions=["camera"]):
        with serving(tmp_path / "log", "compact", PORT=url.rpartition(":")[2], WEB_CONCURRENCY="1"):
            page = window.open("live")
            page.get_by_role("button", name="Start camera").click()
            expect(page.locator("#live-status")).to_have_text("1 face.")

        expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
        expect(page.get_by_role("button", name="Start camera")).to_be_visible()


def test_who_lets_the_page_use_no_camera_is_told(browser: Any, photo_service: Service) -> None:
    blind = open_browser(browser.browser_type, camera=False)
    for window in new_window(blind, photo_service.url, "desktop"):
        page = window.open("live")
        page.get_by_role("button", name="Start camera").click()

        expect(page.get_by_role("alert")).to_contain_text("There is no camera that this page may use")
    blind.close()
