"""The view that enlarges a photo: comparison, download and errors."""

from pathlib import Path

import cv2
import pytest

from tests.support.service import free_port, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window


def test_the_sample_is_shown_before_and_after(window: Window) -> None:
    page = window.open("enlarge")

    page.get_by_role("button", name="Try a sample").click()

    expect(page.locator("#enlarge-status")).to_contain_text("astronaut.jpg: 1536 ")
    expect(page.get_by_role("img", name="The enlarged photo")).to_be_visible()
    expect(page.locator("#enlarge-progress")).to_be_hidden()
    assert window.violations() == []


def test_the_slider_moves_the_divider_between_before_and_after(window: Window) -> None:
    page = window.open("enlarge")
    page.get_by_label("Choose a photo", exact=True).set_input_files(ASTRONAUT)
    page.get_by_role("slider", name="Before and after").fill("20")

    clip = page.locator("#enlarge-before").evaluate("image => getComputedStyle(image).clipPath")

    assert clip == "inset(0px 80% 0px 0px)"


def test_dragging_over_the_photo_moves_the_divider_and_not_the_image(desktop: Window) -> None:
    page = desktop.open("enlarge")
    page.get_by_label("Choose a photo", exact=True).set_input_files(ASTRONAUT)
    expect(page.locator("#enlarge-result")).to_be_visible()
    page.evaluate("addEventListener('dragstart', () => { window.imageDragged = true; })")
    box = page.locator(".comparison").bounding_box()

    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 100, steps=20)
    page.mouse.up()

    expect(page.get_by_role("slider", name="Before and after")).to_have_value("20")
    assert not page.evaluate("window.imageDragged")


def test_a_photo_can_be_enlarged_compared_and_downloaded_with_the_keyboard(window: Window) -> None:
    page = window.open("enlarge")

    window.press_until("Tab", "#enlarge-sample")
    page.keyboard.press("Enter")
    expect(page.locator("#enlarge-result")).to_be_visible()
    window.press_until("Tab", "#enlarge-divider")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("slider", name="Before and after")).to_have_value("49")
    window.press_until("Tab", "#enlarge-download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert download.value.suggested_filename == "astronaut-enlarged.jpg"
    enlarged = cv2.imread(str(download.value.path()))
    assert enlarged is not None
    assert enlarged.shape == (1536, 1536, 3)


def test_the_error_for_a_damaged_photo_is_shown(window: Window, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:3000])
    page = window.open("enlarge")

    page.get_by_label("Choose a photo", exact=True).set_input_files(tmp_path / "broken.jpg")

    expect(page.get_by_role("alert")).to_contain_text("broken.jpg: ")
    expect(page.get_by_role("alert")).to_contain_text("damaged")
    expect(page.locator("#enlarge-result")).to_be_hidden()


def test_a_photo_is_enlarged_as_chosen(window: Window) -> None:
    page = window.open("enlarge")

    page.locator("#enlarge-scale").select_option("1.5")
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("#enlarge-status")).to_contain_text("astronaut.jpg: 768 ")
    page.locator("#enlarge-scale").select_option("2")

    expect(page.locator("#enlarge-status")).to_contain_text("astronaut.jpg: 1024 ")


def test_several_photos_are_enlarged_as_chosen(window: Window, tmp_path: Path) -> None:
    (tmp_path / "other.jpg").write_bytes(ASTRONAUT.read_bytes())
    page = window.open("enlarge")
    page.locator("#enlarge-scale").select_option("2")

    page.get_by_label("Choose a photo", exact=True).and_(page.locator("#enlarge-choose")).set_input_files(
        [ASTRONAUT, tmp_path / "other.jpg"]
    )

    expect(page.locator("select[name=scale]")).to_have_value("2")
    expect(page.locator("select[name=scale]")).to_be_visible()


def test_the_limits_are_told_beside_the_drop_zone(window: Window) -> None:
    page = window.open("enlarge")

    expect(page.locator("#enlarge-drop")).to_contain_text(
        "3 times: up to 5.5 megapixels · 2 times: up to 12.3 megapixels · 1.5 times: up to 22 megapixels"
    )


def test_an_enlargement_in_work_can_be_cancelled(window: Window) -> None:
    page = window.open("enlarge")
    held = window.hold("**/enhance?*")
    page.get_by_role("button", name="Try a sample").click()
    held.wait()
    assert window.violations() == []

    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#enlarge-status")).to_have_text("astronaut.jpg was not enlarged.")
    expect(page.locator("#enlarge-progress")).to_be_hidden()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_label("Choose a photo", exact=True)).to_be_focused()


def test_the_comparison_shows_the_photo_at_its_actual_size(window: Window) -> None:
    page = window.open("enlarge")
    page.get_by_role("button", name="Try a sample").click()
    view = page.locator("#enlarge-viewport")
    expect(page.locator("#enlarge-result")).to_be_visible()

    page.get_by_role("button", name="Actual size").click()

    expect(page.get_by_role("button", name="Actual size")).to_have_attribute("aria-pressed", "true")
    assert page.locator("#enlarge-after").bounding_box()["width"] == 1536
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert view.evaluate("view => view.scrollWidth > view.clientWidth") or page.viewport_size["width"] > 1536
    assert window.violations() == []
    page.get_by_role("button", name="Actual size").click()
    assert page.locator("#enlarge-after").bounding_box()["width"] <= page.viewport_size["width"]


def test_at_actual_size_the_divider_stays_in_sight(window: Window) -> None:
    page = window.open("enlarge")
    page.get_by_role("button", name="Try a sample").click()
    page.get_by_role("button", name="Actual size").click()
    view = page.locator("#enlarge-viewport")

    view.evaluate("view => { view.scrollLeft = 0; }")
    page.get_by_role("slider", name="Before and after").fill("25")

    # A quarter of the visible part shows the photo before.
    shown = view.evaluate("view => view.clientWidth") / 4 / 1536
    clip = page.locator("#enlarge-before").evaluate("image => getComputedStyle(image).clipPath")
    hidden = float(clip.removeprefix("inset(0px ").partition("%")[0])
    assert hidden == pytest.approx(100 - 100 * shown, abs=0.5)


def test_a_photo_that_is_too_large_is_enlarged_less(browser: object, tmp_path: Path) -> None:
    port = str(free_port())
    settings = {"VISAGE_MAX_ENHANCE_PIXELS": "150000", "VISAGE_BATCH_JOBS": "0", "WEB_CONCURRENCY": "1"}
    with serving(tmp_path / "log", "compact", PORT=port, **settings):
        for window in new_window(browser, f"http://127.0.0.1:{port}", "desktop"):
            page = window.open("enlarge")
            page.get_by_role("button", name="Try a sample").click()

            expect(page.locator("#enlarge-status")).to_have_text(
                "astronaut.jpg: 1024 \N{MULTIPLICATION SIGN} 1024 pixels. It is too large for 3 times."
            )
            expect(page.locator("#enlarge-scale")).to_have_value("2")


def test_a_photo_is_sent_again_when_the_service_is_busy(window: Window) -> None:
    page = window.open("enlarge")
    retry = window.reject_once("**/enhance?*")

    page.get_by_role("button", name="Try a sample").click()

    expect(page.locator("#enlarge-status")).to_have_text("The service is busy. Trying again in a second.")
    retry.wait().continue_()
    expect(page.locator("#enlarge-result")).to_be_visible()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_lost_connection_is_waited_for_and_can_be_cancelled(browser: object, tmp_path: Path, size: str) -> None:
    port = str(free_port())
    for window in new_window(browser, f"http://127.0.0.1:{port}", size):
        with serving(tmp_path / "log", "compact", PORT=port, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0"):
            page = window.open("enlarge")
        page.get_by_label("Choose a photo", exact=True).set_input_files(ASTRONAUT)

        expect(page.locator("#enlarge-status")).to_contain_text("Trying again in 2 seconds.")
        page.get_by_role("button", name="Cancel").click()

        expect(page.locator("#enlarge-status")).to_have_text("astronaut.jpg was not enlarged.")
        expect(page.locator("#enlarge-progress")).to_be_hidden()
