"""The view that finds faces: errors, repeated requests and the order of photos."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pictures import encode, gradient
from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window


def test_a_file_that_is_no_photo_shows_an_error_and_the_others_are_analyzed(window: Window, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("Milk, bread and a pound of nails.")
    page = window.open()

    page.get_by_label("Choose photos", exact=True).set_input_files([tmp_path / "notes.jpg", ASTRONAUT])

    expect(page.get_by_role("alert")).to_contain_text("notes.jpg: This kind of file is not accepted")
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()
    photos = page.get_by_role("list", name="Photos")
    expect(photos.get_by_role("button", name="notes.jpg failed")).to_be_visible()
    photos.get_by_role("button", name="astronaut.jpg 1 face").click()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_photo_in_progress_is_analyzed_again_with_the_last_chosen_detail(desktop: Window) -> None:
    page = desktop.open()
    held = desktop.hold("**/predict?*detail=auto")
    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
    held.wait()

    with page.expect_request("**/predict?*detail=high"):
        page.get_by_label("Search for small faces").select_option("high")
        held.wait().continue_()

    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face.")


def test_the_selected_photo_is_analyzed_before_the_waiting_ones(desktop: Window, two_faces: Path) -> None:
    page = desktop.open()
    held = desktop.hold("**/predict?*")
    page.get_by_label("Choose photos", exact=True).set_input_files([ASTRONAUT, ASTRONAUT, two_faces])
    held.wait()
    following = desktop.hold("**/predict?*")
    photos = page.get_by_role("list", name="Photos")

    photos.get_by_role("button", name="two.png waiting").click()
    held.wait().continue_()

    expect(photos.locator("button:not(.remove)")).to_have_text(
        ["astronaut.jpg1 face", "astronaut.jpgwaiting", "two.pngsearching …"]
    )
    following.wait().continue_()


def test_the_error_of_a_download_is_shown_near_its_button(window: Window) -> None:
    page = window.open()
    page.get_by_role("button", name="Try a sample").click()
    page.locator("button.face").wait_for()
    page.route("**/analyze?*", lambda route: route.abort())

    window.press_until("Tab", "#find-faces-download-photo")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("The service does not respond")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Download photo")).to_be_focused()


@contextmanager
def busy(service: Service, photo: bytes) -> Iterator[None]:
    """Send requests until the service rejects others with 429."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            service.post(photo, detail="high", annotated="false")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_photo_is_sent_again_when_the_service_is_busy(window: Window, photo_service: Service) -> None:
    page = window.open()
    with busy(photo_service, encode(gradient(1800, 2400), "JPEG")):
        # A request may arrive between two others and succeed.
        for _ in range(20):
            with page.expect_response("**/predict?*") as answer:
                page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
            if answer.value.status == 429:
                break
        expect(page.get_by_role("status")).to_have_text("The service is busy. Trying again in a second.")

    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face.")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_after_a_lost_connection_the_page_keeps_trying_with_a_countdown(
    browser: object, tmp_path: Path, size: str
) -> None:
    settings = {"PORT": str(free_port()), "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "0"}
    for window in new_window(browser, f"http://127.0.0.1:{settings['PORT']}", size):
        with serving(tmp_path / "log", "compact", **settings):
            page = window.open()
        page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
        status = page.get_by_role("status")
        expect(status).to_have_text(
            "The service does not respond, or the connection is lost. Trying again in 4 seconds."
        )
        expect(status).to_contain_text("Trying again in 3 seconds.")
        assert window.violations() == []

        with serving(tmp_path / "log", "compact", **settings):
            expect(status).to_have_text("astronaut.jpg: 1 face.")


def test_the_page_tries_at_once_when_the_browser_is_online_again(desktop: Window) -> None:
    page = desktop.open()
    page.context.set_offline(True)
    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
    expect(page.get_by_role("status")).to_contain_text("Trying again in 15 seconds.")

    page.context.set_offline(False)

    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face.", timeout=5_000)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_error_of_a_proxy_during_a_restart_is_waited_for(desktop: Window, status: int) -> None:
    page = desktop.open()
    retry = desktop.respond_once("**/predict?*", status=status, content_type="text/html", body="<h1>Bad</h1>")

    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)

    expect(page.get_by_role("status")).to_contain_text("The service does not respond")
    retry.wait().continue_()
    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face.")
