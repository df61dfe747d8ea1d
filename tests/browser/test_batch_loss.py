"""Nothing is lost by accident: questions before deletion and leaving, and a batch at its address."""

import re
from pathlib import Path
from typing import Any

from tests.support.window import ASTRONAUT, Window, expect


def test_deletion_asks_first(window: Window, archive: Path) -> None:
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()

    page.get_by_role("button", name="Delete from the service").click()
    expect(page.get_by_role("dialog")).to_contain_text("Delete this batch with all its results from the service?")
    assert window.violations() == []
    page.get_by_role("button", name="Cancel").click()

    page.reload()
    expect(page.get_by_role("button", name="Download ZIP")).to_be_visible()


def test_leaving_while_photos_are_sent_asks_first(desktop: Window) -> None:
    page = desktop.open("hide-faces")
    held = desktop.hold("**/batches?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Hide faces in 2 photos").click()
    held.wait()
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.once("dialog", stay)
    page.evaluate("location.reload()")
    expect(page.locator("#batch-status")).to_contain_text("Sending 2 files")

    assert asked == ["beforeunload"]
    held.wait().continue_()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def test_the_address_of_a_batch_opens_it_in_another_tab(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page).to_have_url(re.compile(r"#hide/[\w-]{24}$"))
    other = page.context.new_page()

    other.goto(page.url)

    for tab in (page, other):
        expect(tab.locator("#batch-status")).to_have_text("2 done, 0 without a face, 1 left out.")


def test_back_and_forward_move_between_the_choice_of_photos_and_the_batch(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()

    page.go_back()
    expect(page.get_by_role("button", name="Hide faces in all photos")).to_be_visible()
    expect(page.locator("#batch")).to_be_hidden()
    page.go_forward()

    expect(page.get_by_role("button", name="Download ZIP")).to_be_visible()


def test_the_batch_is_still_there_after_another_view(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()

    page.get_by_role("link", name="Enlarge").click()
    page.get_by_role("link", name="Hide faces").click()

    expect(page.get_by_role("button", name="Download ZIP")).to_be_visible()


def test_an_upload_shows_how_much_is_sent(desktop: Window, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(ASTRONAUT.read_bytes() + bytes(20_000_000))
    page = desktop.open("hide-faces")
    session = page.context.new_cdp_session(page)
    # Bytes a second.
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000},
    )
    page.get_by_label("Choose photos or a ZIP").set_input_files([large, ASTRONAUT])

    page.get_by_role("button", name="Hide faces in 2 photos").click()

    expect(page.locator("#batch-rate")).to_have_text(re.compile(r"[1-9][\d.]* MB of 20\.\d MB sent"))
