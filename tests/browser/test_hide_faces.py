"""Hiding faces in one photo: the preview, faces that stay visible, the download and errors."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browser.support import previewed
from tests.support.window import ASTRONAUT, Window, expect

# A rectangle inside the astronaut's face, in pixels: x, y, width, height.
FACE = (195, 80, 55, 70)


def face_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    x, y, width, height = FACE
    return picture[y : y + height, x : x + width]


def test_the_preview_is_anonymized_and_follows_method_and_shape(window: Window) -> None:
    page = window.open("hide-faces")
    page.get_by_role("button", name="Try a sample").click()
    status = page.locator("#hide-faces-status")
    expect(status).to_have_text("astronaut.jpg, 75 KB. Faces hidden: 1 of 1.")
    blurred = face_of(previewed(window))

    page.get_by_label("Solid").check()
    page.get_by_label("Box", exact=True).check()

    assert np.ptp(blurred, axis=(0, 1)).max() > 10
    assert face_of(previewed(window)).max() == 0
    assert window.violations() == []


def test_a_clicked_face_stays_visible_in_the_download(window: Window, astronaut: NDArray[np.uint8]) -> None:
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    page.get_by_role("button", name="Keep face 1").click()
    expect(page.get_by_role("button", name="Keep face 1")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download photo").click()

    assert download.value.suggested_filename == "astronaut-anonymized.jpg"
    kept = cv2.imread(str(download.value.path()))
    assert kept is not None
    assert cv2.PSNR(face_of(kept.astype(np.uint8)), face_of(astronaut)) > 30


def test_a_face_can_be_kept_with_the_keyboard(window: Window) -> None:
    page = window.open("hide-faces")

    window.press_until("Tab", "#hide-faces-sample")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keep face 1").wait_for()
    window.press_until("Tab", "button.face")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Keep face 1")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Keep face 1")).to_be_focused()
    window.press_until("Tab", "#hide-faces-start")
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert download.value.suggested_filename == "astronaut-anonymized.jpg"


def test_a_damaged_photo_shows_an_error_and_has_no_download(window: Window, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:3000])
    page = window.open("hide-faces")

    page.get_by_label("Choose photos or a ZIP").set_input_files(tmp_path / "broken.jpg")

    expect(page.get_by_role("alert")).to_contain_text("broken.jpg: ")
    expect(page.get_by_role("alert")).to_contain_text("damaged")
    expect(page.get_by_role("button", name="Download photo")).to_be_disabled()


@pytest.fixture
def other(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    """A photo with another name and size."""
    path = tmp_path / "other.png"
    cv2.imwrite(str(path), astronaut[:400, :300])
    return path


BUSY = {"error": "Too many photos are waiting already; try again in a second.", "code": "queue_full"}


def test_the_preview_is_requested_again_when_the_service_is_busy(window: Window) -> None:
    page = window.open("hide-faces")
    retry = window.reject_once("**/anonymize?*")

    page.get_by_role("button", name="Try a sample").click()

    expect(page.locator("#hide-faces-status")).to_have_text("The service is busy. Trying again in a second.")
    retry.wait().continue_()
    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden: 1 of 1.")


def test_the_user_can_retry_when_the_service_stays_busy(window: Window) -> None:
    page = window.open("hide-faces")
    # Without Retry-After the page does not wait and retry by itself.
    page.route("**/anonymize?*", lambda route: route.fulfill(status=429, json=BUSY), times=1)
    page.get_by_role("button", name="Try a sample").click()
    expect(page.get_by_role("alert")).to_contain_text(f"astronaut.jpg: {BUSY['error']}")
    expect(page.get_by_role("button", name="Download photo")).to_be_disabled()
    assert window.violations() == []

    page.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Download photo")).to_be_enabled()


def test_the_download_is_requested_again_when_the_service_is_busy(window: Window) -> None:
    page = window.open("hide-faces")
    page.get_by_role("button", name="Try a sample").click()
    page.get_by_role("button", name="Keep face 1").wait_for()
    retry = window.reject_once("**/anonymize")
    with page.expect_download():
        page.get_by_role("button", name="Download photo").click()
        expect(page.locator("#hide-faces-status")).to_have_text("The service is busy. Trying again in a second.")
        retry.wait().continue_()

    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden: 1 of 1.")


def test_a_download_that_fails_can_be_tried_again(window: Window) -> None:
    page = window.open("hide-faces")
    page.get_by_role("button", name="Try a sample").click()
    page.get_by_role("button", name="Keep face 1").wait_for()
    page.route("**/anonymize", lambda route: route.fulfill(status=429, json=BUSY), times=1)
    page.get_by_role("button", name="Download photo").click()
    expect(page.get_by_role("alert")).to_contain_text(f"astronaut.jpg: {BUSY['error']}")

    with page.expect_download():
        page.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_photo_replaced_during_its_preview_leaves_no_trace(desktop: Window, other: Path) -> None:
    page = desktop.open("hide-faces")
    held = desktop.hold("**/anonymize?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)
    held.wait()

    page.get_by_label("Choose photos or a ZIP").set_input_files(other)
    expect(page.locator("#hide-faces-status")).to_contain_text("other.png")
    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden")
    held.wait().abort()

    assert page.locator("#hide-faces-photo canvas").evaluate("canvas => canvas.height") == 400
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_preview_works_after_a_zip_without_photos(desktop: Window, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    page = desktop.open("hide-faces")
    held = desktop.hold("**/anonymize?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)
    held.wait()
    page.get_by_label("Choose photos or a ZIP").set_input_files(tmp_path / "empty.zip")
    expect(page.get_by_role("button", name="Hide faces in all photos")).to_be_visible()
    held.wait().continue_()
    expect(page.locator("#hide-faces-photo.busy")).to_have_count(0)

    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()


def test_a_late_sample_does_not_replace_a_chosen_photo(desktop: Window, other: Path) -> None:
    page = desktop.open("hide-faces")
    held = desktop.hold("**/astronaut.jpg")
    page.get_by_role("button", name="Try a sample").click()
    held.wait()
    page.get_by_label("Choose photos or a ZIP").set_input_files(other)

    with page.expect_request_finished(lambda request: request.url.endswith("astronaut.jpg")):
        held.wait().continue_()
    page.wait_for_timeout(100)

    expect(page.locator("#hide-faces-status")).to_contain_text("other.png")
    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden")


def test_files_without_a_photo_show_an_error(desktop: Window, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Milk")
    page = desktop.open("hide-faces")

    desktop.drop(tmp_path)

    expect(page.get_by_role("alert")).to_have_text("There is no photo among these files.")
