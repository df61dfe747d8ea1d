"""The page's frame: its views, its weight, who may use it, and what is loaded."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window

VIEWS = ["look", "guard", "enlarge", "live"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_view_has_nothing_that_axe_objects_to(window: Window, view: str, scheme: str) -> None:
    window.page.emulate_media(color_scheme=scheme)
    window.open(view)

    assert window.violations() == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_no_wider_than_the_window(window: Window, view: str) -> None:
    page = window.open(view)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_whole_page_weighs_less_than_100_kilobytes_and_loads_from_its_service_alone(desktop: Window) -> None:
    answers = desktop.record("response")

    for view in VIEWS:
        desktop.open(view)

    assert {answer.url.removeprefix(desktop.url)[0] for answer in answers} == {"/"}
    assert 5_000 < sum(len(answer.body()) for answer in answers) < 100_000


@pytest.mark.alone
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_can_be_used_within_a_second_of_a_cold_start(browser: Any, tmp_path: Path, view: str) -> None:
    """The service has just come up, and the browser has never seen it."""
    loads = []
    for attempt in range(3):
        with serving(tmp_path / f"log{attempt}", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
            started = time.perf_counter()
            for window in new_window(browser, service.url, "desktop"):
                window.open(view)
                loads.append(time.perf_counter() - started)

    # Of the fastest: others use the machine too.
    assert min(loads) < 1


def test_without_scripts_one_photo_can_be_posted(browser: Any, photo_service: Service) -> None:
    for window in new_window(browser, photo_service.url, "desktop", java_script_enabled=False):
        window.page.goto(photo_service.url)
        window.page.get_by_label("Photo", exact=True).set_input_files(ASTRONAUT)
        with window.page.expect_response("**/analyze") as answer:
            window.page.get_by_role("button", name="Find faces").click()

        assert answer.value.headers["content-type"] == "image/jpeg"


def test_the_first_stop_of_the_keyboard_leads_to_the_content(window: Window) -> None:
    page = window.open()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    expect(page.get_by_label("Choose photos", exact=True)).to_be_focused()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    log = tmp_path_factory.mktemp("guarded") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0", VISAGE_API_TOKEN="s3cret") as service:
        yield service


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_service_with_a_token_asks_for_it_and_goes_on(browser: Any, guarded: Service, size: str) -> None:
    for window in new_window(browser, guarded.url, size):
        page = window.open()
        page.get_by_role("button", name="Try a sample").click()

        dialog = page.get_by_role("dialog", name="Access token")
        expect(dialog).to_contain_text("This service requires a token")
        assert window.violations() == []
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Token", exact=True)).to_have_value("")
        page.keyboard.type("s3cret")
        page.keyboard.press("Enter")

        expect(page.get_by_role("button", name="Face 1")).to_be_visible()


def test_who_gives_no_token_reads_why_it_is_needed(browser: Any, guarded: Service) -> None:
    for window in new_window(browser, guarded.url, "desktop"):
        page = window.open()
        page.get_by_role("button", name="Try a sample").click()
        page.get_by_role("button", name="Cancel").click()

        expect(page.get_by_role("alert")).to_contain_text("astronaut.jpg: This service requires a token")


def test_nothing_may_run_that_is_not_the_pages_own(photo_service: Service) -> None:
    policy = requests.get(photo_service.url, timeout=10).headers["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_docs_have_nothing_that_axe_objects_to_and_fit_the_window(window: Window, scheme: str) -> None:
    window.page.emulate_media(color_scheme=scheme)
    window.page.goto(f"{window.url}/docs")

    assert window.violations() == []
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_a_phone_the_routes_of_the_docs_stand_above_what_is_said_of_them(
    browser: Any, photo_service: Service
) -> None:
    for window in new_window(browser, photo_service.url, "phone"):
        window.page.goto(f"{window.url}/docs")

        columns = window.page.locator(".contents li").first.evaluate("row => getComputedStyle(row).gridTemplateColumns")

        assert len(columns.split()) == 1


def test_a_view_that_has_not_arrived_says_so(desktop: Window) -> None:
    desktop.page.route("**/static/enlarge.js", lambda route: route.abort())

    desktop.page.goto(f"{desktop.url}/#enlarge")

    expect(desktop.page.get_by_role("alert")).to_have_text("Not all of this page has arrived: load it again.")


def test_views_and_docs_lead_to_each_other(window: Window) -> None:
    page = window.open()

    page.get_by_role("link", name="Docs").click()
    page.get_by_role("link", name="POST /batches", exact=True).click()
    expect(page.get_by_role("heading", name="POST /batches", exact=True)).to_be_in_viewport()
    page.get_by_role("link", name="Hide faces", exact=True).click()

    expect(page.get_by_role("heading", name="Cover faces")).to_be_visible()
    expect(page).to_have_title(re.compile("^Cover faces . Visage$"))


def test_a_token_that_no_header_can_carry_is_not_taken(browser: Any, guarded: Service) -> None:
    for window in new_window(browser, guarded.url, "desktop"):
        page = window.open()
        page.get_by_role("button", name="Try a sample").click()

        page.keyboard.type("tökén€")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Access token")).to_be_visible()
        page.get_by_label("Token", exact=True).fill("s3cret")
        page.keyboard.press("Enter")

        expect(page.get_by_role("button", name="Face 1")).to_be_visible()


def test_a_view_that_is_opened_after_the_service_was_cut_off_says_so(browser: Any, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for window in new_window(browser, url, "desktop"):
        port = url.rpartition(":")[2]
        with serving(tmp_path / "log", "compact", PORT=port, WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0"):
            page = window.open()

        page.get_by_role("link", name="Guard").click()
        page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

        expect(page.get_by_role("alert")).to_contain_text("astronaut.jpg: The service does not answer")


@pytest.mark.parametrize(
    ("view", "field", "outcome"),
    [
        ("look", "Choose photos", "button.face"),
        ("guard", "Choose photos or a ZIP", "#guard-photo .face"),
        ("enlarge", "Choose a photo", "#enlarge-result"),
    ],
)
def test_a_photo_that_is_chosen_before_its_view_has_arrived_is_taken(
    desktop: Window, view: str, field: str, outcome: str
) -> None:
    held = desktop.hold(f"**/static/{view}.js")
    page = desktop.page
    page.goto(f"{desktop.url}/#{view}", wait_until="commit")
    script = held.wait()

    page.get_by_label(field, exact=True).set_input_files(ASTRONAUT)
    script.continue_()

    expect(page.locator(outcome)).to_be_visible()


# Of what WCAG 2.2 asks to fit without scrolling sideways (1.4.10), and of a desktop's window at 200 %.
NARROW = {"320 px": (320, 640), "200 %": (640, 400)}


@pytest.mark.parametrize("narrow", NARROW)
def test_everything_fits_a_narrow_window(desktop: Window, narrow: str) -> None:
    width, height = NARROW[narrow]
    desktop.page.set_viewport_size({"width": width, "height": height})
    fits = "document.documentElement.scrollWidth <= innerWidth"

    page = desktop.open("look")
    page.get_by_label("Choose photos", exact=True).set_input_files([ASTRONAUT] * 5)
    page.locator("button.face").wait_for()
    assert page.evaluate(fits)
    page.get_by_role("button", name="List the faces of all").click()
    expect(page.get_by_role("button", name="List the faces of 5 photos")).to_be_visible()
    assert page.evaluate(fits)
    page.get_by_role("radio", name="Cover faces").check()
    expect(page.locator("#guard-photo .face")).to_have_count(1)
    assert page.evaluate(fits)
    page.get_by_role("button", name="Cover 5 photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    assert page.evaluate(fits)
    page.get_by_role("link", name="Enlarge", exact=True).click()
    page.get_by_label("Choose a photo", exact=True).set_input_files(ASTRONAUT)
    expect(page.locator("#enlarge-result")).to_be_visible()
    assert page.evaluate(fits)
    page.goto(f"{desktop.url}/docs")
    assert page.evaluate(fits)
