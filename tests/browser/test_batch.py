"""Batches on the page: every way to choose photos, every task, and their results."""

import csv
import re
from pathlib import Path

from tests.browser.support import unpacked
from tests.support.window import ASTRONAUT, Window, expect


def test_a_folder_is_anonymized_and_downloaded_as_a_zip(desktop: Window, folder: Path) -> None:
    page = desktop.open("hide-faces")

    page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.locator("#hide-faces-status")).to_contain_text("3 files")
    page.get_by_role("button", name="Hide faces in 3 photos").click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-status")).to_have_text("2 done, 0 without a face, 2 left out.")
    expect(page.locator("#batch-until")).to_contain_text("The service keeps them until")
    expect(page.locator("#batch-failed li")).to_contain_text(["holiday/broken.jpg", "holiday/notes.txt"])
    expect(page.locator("#batch-failed li").first).to_contain_text("damaged")
    expect(page.locator("#batch-failed li").last).to_contain_text("not a photo")
    assert desktop.violations() == []
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert set(unpacked(download).namelist()) == {"holiday/one.jpg", "holiday/rome/two.jpg", "failures.csv"}


def test_a_zip_shows_a_preview_of_its_first_photo_and_is_anonymized(window: Window, archive: Path) -> None:
    page = window.open("hide-faces")

    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden in one.jpg: 1 of 1.")
    page.get_by_label("Mosaic").check()
    page.get_by_role("button", name="Hide faces in all photos").click()

    expect(page.locator("#batch-status")).to_have_text("2 done, 0 without a face, 1 left out.")
    page.get_by_text("Files", exact=True).click()
    expect(page.locator("#batch-files li", has_text="rome/two.jpg")).to_contain_text("1 face")
    assert window.violations() == []


def test_dropped_folders_keep_the_paths_of_their_photos(desktop: Window, folder: Path) -> None:
    page = desktop.open("hide-faces")

    desktop.drop(folder)
    expect(page.locator("#hide-faces-status")).to_contain_text("3 files")
    page.get_by_role("button", name="Hide faces in 3 photos").click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-files li", has_text="holiday/rome/two.jpg")).to_have_count(1)


def test_all_files_of_a_large_dropped_folder_are_added(desktop: Window, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number}.jpg").write_bytes(b"")
    page = desktop.open("hide-faces")

    desktop.drop(folder)

    expect(page.locator("#hide-faces-status")).to_contain_text("250 files")


def test_a_batch_can_be_started_and_downloaded_with_the_keyboard(window: Window, folder: Path) -> None:
    page = window.open("hide-faces")

    # Chromium takes the order to intercept file choosers and key presses on two channels, which may overtake each
    # other. press_until waits for the page, so the order has arrived before the key.
    with page.expect_file_chooser() as chooser:
        window.press_until("Tab", "#hide-faces-choose")
        page.keyboard.press("Space")
    chooser.value.set_files([folder / "one.jpg", folder / "rome" / "two.jpg"])
    expect(page.locator("#hide-faces-status")).to_contain_text("Faces hidden")
    window.press_until("Tab", "[name=method]")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Mosaic")).to_be_checked()
    window.press_until("Tab", "#hide-faces-start")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Batch")).to_be_focused()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    window.press_until("Tab", "#batch-download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "photos-anonymized.zip"
    assert set(unpacked(download).namelist()) == {"one.jpg", "two.jpg"}

    window.press_until("Tab", "#batch-delete")
    page.keyboard.press("Enter")
    window.press_until("Tab", "#question-yes")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="More photos")).to_be_focused()


def test_the_faces_of_many_photos_are_listed_in_a_table(window: Window, archive: Path) -> None:
    page = window.open("find-faces")

    page.get_by_label("Choose photos", exact=True).set_input_files(archive)
    expect(page.get_by_role("heading", name="List faces")).to_be_visible()
    expect(page.get_by_role("radio", name="List faces")).to_be_checked()
    expect(page.get_by_label("Mosaic")).to_be_hidden()
    assert window.violations() == []
    page.get_by_role("button", name="List faces in all photos").click()

    expect(page.locator("#batch-status")).to_contain_text("2 done, 0 without a face, 1 left out.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert download.value.suggested_filename == "holiday-faces.zip"
    [_, *rows] = csv.reader(unpacked(download).read("results.csv").decode("utf-8-sig").splitlines())
    assert len(rows) == 2


def test_several_photos_are_enlarged_as_a_batch(window: Window, folder: Path) -> None:
    page = window.open("enlarge")

    photos = [folder / "one.jpg", folder / "rome" / "two.jpg"]
    page.get_by_label("Choose a photo", exact=True).set_input_files(photos)
    expect(page.get_by_role("heading", name="Enlarge photos")).to_be_visible()
    assert window.violations() == []
    page.get_by_role("button", name="Enlarge 2 photos").click()

    expect(page.locator("#batch-status")).to_contain_text("2 done, 0 left out.")
    page.get_by_text("Files", exact=True).click()
    expect(page.locator("#batch-files li")).to_have_text(["one.jpg done", "two.jpg done"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert download.value.suggested_filename == "photos-enlarged.zip"
    assert unpacked(download).namelist() == ["one.jpg", "two.jpg"]


def test_the_task_of_a_batch_can_be_chosen(desktop: Window, folder: Path) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files([folder / "one.jpg", folder / "rome" / "two.jpg"])
    expect(page.locator("#hide-faces-photo .face")).to_have_count(1)

    page.get_by_role("radio", name="Enlarge").check()
    expect(page.locator("#hide-faces-photo .face")).to_have_count(0)
    page.get_by_role("radio", name="Hide faces").check()

    expect(page.locator("#hide-faces-photo .face")).to_have_count(1)
    expect(page.get_by_role("button", name="Hide faces in 2 photos")).to_be_visible()


def test_more_photos_can_be_chosen_while_a_batch_is_shown(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.locator("#hide-faces-setup")).to_be_hidden()

    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()
    expect(page.get_by_role("button", name="Download ZIP")).to_be_visible()


def test_many_photos_show_how_much_room_is_left_and_a_single_photo_does_not(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")

    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    expect(page.locator("#hide-faces-room")).to_have_text(
        re.compile(r"The service has room for [\d.]+ [MG]B of batches\.")
    )

    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)
    expect(page.locator("#hide-faces-room")).to_be_hidden()
