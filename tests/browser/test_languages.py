"""The page in every language: complete, switched without loss, and in scripts that run from right to left."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.service import Service
from tests.support.window import ASTRONAUT, Window, expect, new_window
from visage.web.languages import languages

VIEWS = ["find-faces", "hide-faces", "enlarge", "camera"]
TITLES = {"de": "Gesichter finden", "es": "Encontrar caras", "fr": "Trouver les visages", "zh": "查找人脸"}


@pytest.fixture(params=TITLES)
def foreign(request: pytest.FixtureRequest, browser: Any, photo_service: Service) -> Iterator[tuple[str, Window]]:
    """A phone's window whose browser wants another language than English, and its code."""
    for window in new_window(browser, photo_service.url, "phone", locale=request.param):
        yield request.param, window


def test_the_browser_chooses_the_language(foreign: tuple[str, Window]) -> None:
    code, window = foreign
    page = window.open()

    expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[code])
    assert page.evaluate("document.documentElement.lang") == code
    assert page.title().startswith(TITLES[code])


def test_a_photo_goes_through_every_view_in_every_language(foreign: tuple[str, Window]) -> None:
    code, window = foreign
    script = languages()[code].script
    # Neither the page nor a column of it is wider than its place.
    fits = """[document.documentElement, ...document.querySelectorAll('.side')].every(
        ({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth
    )"""
    page = window.page
    page.set_viewport_size({"width": 320, "height": 640})

    window.open()
    page.locator("#find-faces-choose").set_input_files(ASTRONAUT)
    one = script["count_faces"].get("one", "1 张人脸")
    expect(page.get_by_role("table", name=one)).to_contain_text(script["Female"])
    assert page.evaluate(fits)
    assert window.violations() == []
    window.open("hide-faces")
    page.locator("#hide-faces-choose").set_input_files([ASTRONAUT, ASTRONAUT])
    expect(page.locator("#hide-faces-photo .face")).to_have_count(1)
    assert page.evaluate(fits)
    page.locator("#hide-faces-start").click()
    expect(page.locator("#batch-title")).to_have_text(script["batch_done"])
    assert page.evaluate(fits)
    assert window.violations() == []
    window.open("enlarge")
    page.locator("#enlarge-choose").set_input_files(ASTRONAUT)
    expect(page.locator("#enlarge-result")).to_be_visible()
    assert page.evaluate(fits)
    assert window.violations() == []
    window.open("camera")
    assert page.evaluate(fits)
    assert "{" not in page.locator("main").inner_text()


def test_errors_of_the_service_are_in_the_language_of_the_page(foreign: tuple[str, Window], tmp_path: Any) -> None:
    code, window = foreign
    (tmp_path / "notes.jpg").write_text("Milk, bread and a pound of nails.")
    page = window.open()

    page.locator("#find-faces-choose").set_input_files(tmp_path / "notes.jpg")

    expect(page.get_by_role("alert")).to_contain_text(languages()[code].errors["unsupported_type"])


def test_the_switch_changes_the_language_and_the_page_remembers_it(window: Window) -> None:
    page = window.open("hide-faces")

    page.get_by_label("Language", exact=True).select_option("fr")

    expect(page.get_by_role("heading", level=1)).to_have_text("Masquer les visages")
    window.open("enlarge")
    expect(page.get_by_role("heading", level=1)).to_have_text("Agrandir")
    expect(page.get_by_label("Langue", exact=True)).to_have_value("fr")


def test_the_switch_asks_before_photos_are_lost(window: Window) -> None:
    page = window.open()
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("button.face")).to_have_count(1)

    page.get_by_label("Language", exact=True).select_option("de")
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("The photos on this page have to be chosen again.")
    question.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Language", exact=True)).to_have_value("en")
    expect(page.locator("button.face")).to_have_count(1)
    page.get_by_label("Language", exact=True).select_option("de")
    question.get_by_role("button", name="Change").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Gesichter finden")


@pytest.mark.parametrize("view", VIEWS)
def test_a_script_from_right_to_left_fits_and_has_no_violations(window: Window, view: str) -> None:
    page = window.open(view)

    page.evaluate("document.documentElement.dir = 'rtl'")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert window.violations() == []


def test_boxes_and_the_divider_are_in_place_from_right_to_left(window: Window, photo_service: Service) -> None:
    page = window.open()
    page.evaluate("document.documentElement.dir = 'rtl'")
    [face] = photo_service.post(ASTRONAUT.read_bytes(), annotated="false").json()["faces"]
    page.get_by_role("button", name="Try a sample").click()
    page.locator("button.face").wait_for()

    photo, box = page.locator("#find-faces-photo img").bounding_box(), page.locator("button.face").bounding_box()
    assert (box["x"] - photo["x"]) * 512 / photo["width"] == pytest.approx(face["bbox"][0], abs=3)
    page.get_by_role("link", name="Enlarge", exact=True).click()
    # The button of the view before has the same name, and is there for a moment.
    page.locator("#view-enlarge").get_by_role("button", name="Try a sample").click()
    expect(page.locator("#enlarge-result")).to_be_visible()
    slider = page.get_by_role("slider", name="Before and after")
    slider.press("ArrowLeft")
    expect(slider).to_have_value("49")
