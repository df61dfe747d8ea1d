"""Results are shared with other apps on devices that have them."""

from typing import Any

import pytest

from tests.support.window import ASTRONAUT, Window, expect

# Chromium shares files on phones only, so the test stands for the system's part of it.
SHARE = """() => {
    window.shared = [];
    navigator.canShare = ({ files }) => files.length > 0;
    navigator.share = async ({ files: [file] }) => { window.shared.push([file.name, file.type, file.size > 1000]); };
}"""


def make(page: Any, view: str) -> None:
    """Let a view make its file."""
    page.locator(f"#{view}-choose").set_input_files(ASTRONAUT)
    if view == "enlarge":
        return
    button = page.locator(f"#view-{view}").get_by_role("button", name="Download photo")
    expect(button).to_be_enabled()
    with page.expect_download():
        button.click()


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ("find-faces", "astronaut-faces.jpg"),
        ("hide-faces", "astronaut-anonymized.jpg"),
        ("enlarge", "astronaut-enlarged.jpg"),
    ],
)
def test_on_a_phone_a_result_can_be_shared(window: Window, view: str, name: str) -> None:
    page = window.open(view)
    page.evaluate(SHARE)
    make(page, view)
    button = page.locator(f"#view-{view}").get_by_role("button", name="Share")
    if page.viewport_size["width"] > 1000:
        expect(page.locator("#enlarge-result") if view == "enlarge" else page.locator(f"#view-{view}")).to_be_visible()
        expect(button).to_be_hidden()
        return

    button.click()

    page.wait_for_function("window.shared.length === 1")
    assert page.evaluate("window.shared[0]") == [name, "image/jpeg", True]
    assert window.violations() == []


def test_a_file_that_is_not_what_the_preview_shows_is_not_shared(window: Window) -> None:
    page = window.open("hide-faces")
    page.evaluate(SHARE)
    make(page, "hide-faces")

    page.get_by_label("Mosaic").check()

    expect(page.get_by_role("button", name="Share")).to_be_hidden()
