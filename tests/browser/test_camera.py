"""The camera view: marked faces, the frame rate, starting, stopping and switching, and errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, TIMEOUT, Window, expect, new_window, open_browser


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file for the fake camera: a still picture of the astronaut."""
    video = tmp_path_factory.mktemp("camera") / "astronaut.mjpeg"
    video.write_bytes(ASTRONAUT.read_bytes() * 2)
    return video


@pytest.fixture(scope="module")
def camera_browser(browser: Any, camera: Path) -> Iterator[Any]:
    """A browser whose fake camera shows the astronaut."""
    launched = open_browser(browser.browser_type, f"--use-file-for-fake-video-capture={camera}")
    yield launched
    launched.close()


@pytest.fixture(params=["desktop", "phone"])
def camera_window(request: pytest.FixtureRequest, camera_browser: Any, photo_service: Service) -> Iterator[Window]:
    yield from new_window(camera_browser, photo_service.url, request.param, permissions=["camera"])


def test_faces_in_the_camera_picture_are_marked_and_the_frame_rate_is_shown(camera_window: Window) -> None:
    page = camera_window.open("camera")

    page.get_by_role("button", name="Start camera").click()

    expect(page.locator("#camera-status")).to_have_text("1 face.")
    expect(page.locator("#camera-photo .tag")).to_contain_text("Female")
    expect(page.locator("#camera-rate")).to_contain_text(" frames a second")
    assert camera_window.violations() == []


def test_one_frame_is_in_flight_at_a_time(camera_window: Window) -> None:
    page = camera_window.open("camera")
    in_flight_counts: list[int] = []
    in_flight: set[Any] = set()

    def on_request(request: Any) -> None:
        in_flight.add(request)
        in_flight_counts.append(len(in_flight))

    page.on("request", on_request)
    page.on("requestfinished", lambda request: in_flight.discard(request))  # noqa: PLW0108
    page.get_by_role("button", name="Start camera").click()
    for _ in range(TIMEOUT // 50):
        if len(in_flight_counts) > 10:
            break
        page.wait_for_timeout(50)

    assert len(in_flight_counts) > 10
    assert set(in_flight_counts) == {1}


def test_the_camera_can_be_started_and_stopped_with_the_keyboard(camera_window: Window) -> None:
    page = camera_window.open("camera")
    camera_window.press_until("Tab", "#camera-start")

    page.keyboard.press("Enter")
    expect(page.locator("#camera-rate")).to_contain_text("frames a second")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Start camera")).to_be_focused()
    assert page.evaluate("document.getElementById('camera-video').srcObject") is None


def test_the_camera_is_off_in_other_views(camera_window: Window) -> None:
    page = camera_window.open("camera")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#camera-rate")).to_contain_text("frames a second")

    page.get_by_role("link", name="Find faces").click()
    page.get_by_role("heading", name="Find faces").wait_for()

    assert page.evaluate("document.getElementById('camera-video').srcObject") is None


RECORD_STREAMS = """() => {
    // Collects every stream that the page gets; `window.delay` milliseconds stand for a user who decides slowly.
    window.streams = [];
    window.delay = 0;
    const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
        await new Promise((resolve) => { setTimeout(resolve, window.delay); });
        const stream = await original(constraints);
        window.streams.push(stream);
        return stream;
    };
}"""

CURRENT_CAMERA = "document.getElementById('camera-video').srcObject?.getVideoTracks()[0].getSettings().deviceId"

LIVE_TRACKS = (
    "window.streams.flatMap((stream) => stream.getTracks()).filter(({ readyState }) => readyState === 'live').length"
)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_camera_can_be_switched_and_the_button_keeps_the_focus(
    browser: Any, photo_service: Service, size: str
) -> None:
    two_cameras = open_browser(browser.browser_type, "--use-fake-device-for-media-stream=device-count=2")
    for window in new_window(two_cameras, photo_service.url, size, permissions=["camera"]):
        page = window.open("camera")
        page.evaluate(RECORD_STREAMS)
        page.get_by_role("button", name="Start camera").click()
        expect(page.locator("#camera-rate")).to_contain_text("frames a second")
        first = page.evaluate(CURRENT_CAMERA)

        window.press_until("Tab", "#camera-switch")
        page.keyboard.press("Enter")
        page.wait_for_function(f"first => ![first, undefined].includes({CURRENT_CAMERA})", arg=first)
        expect(page.locator("#camera-rate")).to_contain_text("frames a second")
        expect(page.get_by_role("button", name="Switch camera")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_function(f"first => {CURRENT_CAMERA} === first", arg=first)
        expect(page.locator("#camera-rate")).to_contain_text("frames a second")

        assert page.evaluate(LIVE_TRACKS) == 1
    two_cameras.close()


def test_a_camera_that_is_granted_after_the_stop_is_turned_off(camera_window: Window) -> None:
    page = camera_window.open("camera")
    page.evaluate(RECORD_STREAMS)
    page.evaluate("window.delay = 500")
    page.get_by_role("button", name="Start camera").click()
    page.get_by_role("button", name="Stop camera").click()
    page.evaluate("window.delay = 0")
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#camera-status")).to_have_text("1 face.")

    page.evaluate(
        "async () => { while (window.streams.length < 2) await new Promise((done) => { setTimeout(done, 20); }); }"
    )

    assert page.evaluate(LIVE_TRACKS) == 1
    expect(page.locator("#camera-status")).to_have_text("1 face.")


def test_a_frame_is_sent_again_when_the_service_is_busy(camera_window: Window) -> None:
    page = camera_window.open("camera")
    retry = camera_window.reject_once("**/predict?*")

    page.get_by_role("button", name="Start camera").click()

    expect(page.locator("#camera-status")).to_have_text("The service is busy. Trying again in a second.")
    retry.wait().continue_()
    expect(page.locator("#camera-status")).to_have_text("1 face.")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_after_a_lost_connection_the_camera_goes_on(camera_browser: Any, tmp_path: Path, size: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for window in new_window(camera_browser, url, size, permissions=["camera"]):
        with serving(tmp_path / "log", "compact", PORT=url.rpartition(":")[2], WEB_CONCURRENCY="1"):
            page = window.open("camera")
            page.get_by_role("button", name="Start camera").click()
            expect(page.locator("#camera-status")).to_have_text("1 face.")

        expect(page.locator("#camera-status")).to_contain_text("The service does not respond")
        expect(page.locator("#camera-photo .face")).to_have_count(0)

        with serving(tmp_path / "log", "compact", PORT=url.rpartition(":")[2], WEB_CONCURRENCY="1"):
            expect(page.locator("#camera-status")).to_have_text("1 face.")


def test_an_absent_camera_is_reported(browser: Any, photo_service: Service) -> None:
    no_camera = open_browser(browser.browser_type, camera=False)
    for window in new_window(no_camera, photo_service.url, "desktop", permissions=["camera"]):
        page = window.open("camera")
        page.get_by_role("button", name="Start camera").click()

        expect(page.get_by_role("alert")).to_have_text("There is no camera on this device.")
    no_camera.close()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NotAllowedError", "This page may not use the camera. Allow it in the browser"),
        ("NotFoundError", "There is no camera on this device."),
        ("NotReadableError", "The camera does not respond. Another program may use it"),
    ],
)
def test_the_message_tells_why_there_is_no_picture(window: Window, name: str, message: str) -> None:
    page = window.open("camera")
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name)); }", name
    )

    page.get_by_role("button", name="Start camera").click()

    expect(page.get_by_role("alert")).to_contain_text(message)
    expect(page.get_by_role("button", name="Start camera")).to_be_visible()
    assert window.violations() == []


def test_an_insecure_page_is_named_as_the_reason(browser: Any, photo_service: Service) -> None:
    # Browsers trust localhost, but no other name without HTTPS.
    insecure = open_browser(browser.browser_type, "--host-resolver-rules=MAP visage.example 127.0.0.1")
    url = photo_service.url.replace("127.0.0.1", "visage.example")
    for window in new_window(insecure, url, "desktop"):
        page = window.open("camera")
        page.get_by_role("button", name="Start camera").click()

        expect(page.get_by_role("alert")).to_contain_text("Open this page over HTTPS")
    insecure.close()


def places(page: Any, selector: str) -> list[dict[str, float]]:
    """Where an element over the camera's picture is, and the picture. Both at once, because every frame replaces it."""
    found: list[dict[str, float]] = page.evaluate(
        """selector => [selector, 'video'].map((each) => {
            const place = document.querySelector(`#camera-photo ${each}`).getBoundingClientRect();
            return { left: place.left, right: place.right, bottom: place.bottom, width: place.width };
        })""",
        selector,
    )
    return found


def test_the_front_camera_is_a_mirror_and_the_boxes_are_too(camera_window: Window) -> None:
    page = camera_window.open("camera")
    with page.expect_response("**/predict?*") as response:
        page.get_by_role("button", name="Start camera").click()
    page.locator("#camera-photo .face").wait_for()

    assert page.locator("#camera-video").evaluate("video => getComputedStyle(video).scale") == "-1 1"
    [face], image = response.value.json()["faces"], response.value.json()["image"]
    x1, _, x2, _ = face["bbox"]
    box, photo = places(page, ".face")
    left = (box["left"] - photo["left"]) / photo["width"]
    assert left == pytest.approx(1 - x2 / image["width"], abs=0.03)
    assert left != pytest.approx(x1 / image["width"], abs=0.03)


def test_the_back_camera_is_no_mirror(camera_window: Window) -> None:
    page = camera_window.open("camera")
    page.evaluate(
        """() => {
            const original = MediaStreamTrack.prototype.getSettings;
            MediaStreamTrack.prototype.getSettings = function () {
                return { ...original.call(this), facingMode: "environment" };
            };
        }"""
    )
    page.get_by_role("button", name="Start camera").click()
    page.locator("#camera-photo .face").wait_for()

    assert page.locator("#camera-video").evaluate("video => getComputedStyle(video).scale") == "none"


@pytest.mark.parametrize("corner", ["left", "right"])
def test_at_320_pixels_labels_stay_in_the_picture(camera_window: Window, corner: str) -> None:
    page = camera_window.page
    page.set_viewport_size({"width": 320, "height": 640})
    camera_window.open("camera")
    x = 0 if corner == "right" else 470
    page.route(
        "**/predict?*",
        lambda route: route.fulfill(
            json={
                "image": {"width": 512, "height": 512},
                "faces": [
                    {
                        "bbox": [x, 470, x + 40, 512],
                        "confidence": 0.9,
                        "gender": "Female",
                        "gender_confidence": 0.9,
                        "age": "20-29",
                        "age_confidence": 0.5,
                    }
                ],
            }
        ),
    )

    page.get_by_role("button", name="Start camera").click()
    page.locator("#camera-photo .tag").wait_for()

    label, photo = places(page, ".tag")
    assert photo["left"] <= label["left"] + 0.5
    assert label["right"] <= photo["right"] + 0.5
    assert label["bottom"] <= photo["bottom"] + 0.5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
