"""Covering faces of one photo: the preview, faces that are kept, the download, and what goes wrong on the way."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.window import ASTRONAUT, Window, expect

# Inside of the astronaut's face: x, y, width, height.
FACE = (195, 80, 55, 70)


def shown_face(window: Window) -> NDArray[np.uint8]:
    """What the preview shows of the face, (70, 55, 4) RGBA."""
    *_, width, height = FACE
    pixels = window.page.evaluate(
        """async (face) => {
            const image = document.querySelector("#guard-photo img");
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            return Array.from(context.getImageData(...face).data);
        }""",
        FACE,
    )
    return np.array(pixels, np.uint8).reshape(height, width, 4)


def face_of(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    x, y, width, height = FACE
    return picture[y : y + height, x : x + width]


def test_the_first_photo_is_shown_covered_and_method_and_shape_change_it_at_once(window: Window) -> None:
    page = window.open("guard")
    page.get_by_role("button", name="Try a sample").click()
    status = page.locator("#guard-status")
    expect(status).to_have_text("astronaut.jpg, 75 KB. 1 of 1 faces covered.")
    blurred = shown_face(window)

    page.get_by_label("Solid").check()
    page.get_by_label("Box").check()
    expect(page.locator("#guard-photo.busy")).to_have_count(0)

    assert np.ptp(blurred, axis=(0, 1)).max() > 10
    assert np.ptp(shown_face(window), axis=(0, 1)).max() <= 2
    assert window.violations() == []


def test_a_face_that_is_clicked_stays_in_the_photo_that_is_downloaded(
    window: Window, astronaut: NDArray[np.uint8]
) -> None:
    page = window.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    page.get_by_role("button", name="Keep face 1").click()
    expect(page.get_by_role("button", name="Keep face 1")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download photo").click()

    assert download.value.suggested_filename == "astronaut-covered.jpg"
    kept = cv2.imread(str(download.value.path()))
    assert kept is not None
    assert cv2.PSNR(face_of(kept.astype(np.uint8)), face_of(astronaut)) > 30


def test_the_keyboard_alone_covers_a_photo_but_for_one_face(window: Window) -> None:
    page = window.open("guard")

    window.press_until("Tab", "#guard-sample")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keep face 1").wait_for()
    window.press_until("Tab", "button.face")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Keep face 1")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Keep face 1")).to_be_focused()
    window.press_until("Tab", "#guard-start")
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert download.value.suggested_filename == "astronaut-covered.jpg"


def test_a_photo_that_cannot_be_covered_has_its_sentence_and_no_download(window: Window, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:3000])
    page = window.open("guard")

    page.get_by_label("Choose photos or a ZIP").set_input_files(tmp_path / "broken.jpg")

    expect(page.get_by_role("alert")).to_contain_text("broken.jpg: ")
    expect(page.get_by_role("alert")).to_contain_text("damaged")
    expect(page.get_by_role("button", name="Download photo")).to_be_disabled()


@pytest.fixture
def other(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    """A photo of another name and size."""
    path = tmp_path / "other.png"
    cv2.imwrite(str(path), astronaut[:400, :300])
    return path


REFUSAL = {"error": "Too many photos are waiting already; try again in a second.", "code": "queue_full"}


def test_a_busy_service_is_asked_for_the_preview_again(window: Window) -> None:
    page = window.open("guard")
    again = window.refuse_once("**/anonymize?*")

    page.get_by_role("button", name="Try a sample").click()

    expect(page.locator("#guard-status")).to_have_text("The service is busy. Trying again in a second.")
    again.wait().continue_()
    expect(page.locator("#guard-status")).to_contain_text("1 of 1 faces covered.")


def test_a_service_that_stays_busy_is_said_and_asked_again_on_request(window: Window) -> None:
    page = window.open("guard")
    # Without Retry-After, so that the page does not wait first.
    page.route("**/anonymize?*", lambda route: route.fulfill(status=429, json=REFUSAL), times=1)
    page.get_by_role("button", name="Try a sample").click()
    expect(page.get_by_role("alert")).to_contain_text(f"astronaut.jpg: {REFUSAL['error']}")
    expect(page.get_by_role("button", name="Download photo")).to_be_disabled()
    assert window.violations() == []

    page.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Download photo")).to_be_enabled()


def test_what_is_downloaded_is_what_was_chosen_last(desktop: Window, astronaut: NDArray[np.uint8]) -> None:
    page = desktop.open("guard")
    page.get_by_role("button", name="Try a sample").click()
    page.get_by_role("button", name="Keep face 1").click()
    expect(page.get_by_role("button", name="Keep face 1")).to_have_attribute("aria-pressed", "true")
    held = desktop.hold("**/anonymize?*")
    page.get_by_role("button", name="Keep face 1").click()
    held.wait()

    with page.expect_download() as download:
        page.get_by_role("button", name="Download photo").click()
        held.wait().continue_()

    covered = cv2.imread(str(download.value.path()))
    assert covered is not None
    assert cv2.PSNR(face_of(covered.astype(np.uint8)), face_of(astronaut)) < 25


def test_a_photo_that_is_replaced_while_it_is_covered_leaves_nothing_behind(desktop: Window, other: Path) -> None:
    page = desktop.open("guard")
    held = desktop.hold("**/anonymize?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)
    held.wait()

    page.get_by_label("Choose photos or a ZIP").set_input_files(other)
    expect(page.locator("#guard-status")).to_contain_text("other.png")
    expect(page.locator("#guard-status")).to_contain_text("faces covered")
    held.wait().abort()

    assert page.locator("#guard-photo img").evaluate("image => image.naturalHeight") == 400
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_archive_without_a_photo_stops_no_preview_that_follows(desktop: Window, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    page = desktop.open("guard")
    held = desktop.hold("**/anonymize?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)
    held.wait()
    page.get_by_label("Choose photos or a ZIP").set_input_files(tmp_path / "empty.zip")
    expect(page.get_by_role("button", name="Cover all")).to_be_visible()
    held.wait().continue_()
    expect(page.locator("#guard-photo.busy")).to_have_count(0)

    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()


def test_a_sample_that_comes_late_replaces_no_photo(desktop: Window, other: Path) -> None:
    page = desktop.open("guard")
    held = desktop.hold("**/astronaut.jpg")
    page.get_by_role("button", name="Try a sample").click()
    held.wait()
    page.get_by_label("Choose photos or a ZIP").set_input_files(other)

    with page.expect_request_finished(lambda request: request.url.endswith("astronaut.jpg")):
        held.wait().continue_()
    page.wait_for_timeout(100)

    expect(page.locator("#guard-status")).to_contain_text("other.png")
    expect(page.locator("#guard-status")).to_contain_text("faces covered")


def test_files_without_a_photo_are_said(desktop: Window, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("Milk")
    page = desktop.open("guard")

    desktop.drop(tmp_path)

    expect(page.get_by_role("alert")).to_have_text("There is no photo among these files.")
