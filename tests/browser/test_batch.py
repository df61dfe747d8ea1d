"""Batches: folders and ZIPs that are handed in, watched, found again and fetched, and what goes wrong on the way."""

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window
from visage.batches import open_batches
from visage.batches.processing import Processor
from visage.batches.state_machine import LeaseOwner
from visage.runtime.engine import Engine
from visage.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos in a tree, one broken; and what is no photo."""
    folder = tmp_path / "holiday"
    (folder / "rome").mkdir(parents=True)
    for name in ("one.jpg", "rome/two.jpg"):
        shutil.copy(ASTRONAUT, folder / name)
    (folder / "broken.jpg").write_bytes(ASTRONAUT.read_bytes()[:3000])
    (folder / "notes.txt").write_text("Milk")
    return folder


def astronauts(folder: Path, count: int) -> list[Path]:
    """As many photos as are asked for."""
    return [Path(shutil.copy(ASTRONAUT, folder / f"{number}.jpg")) for number in range(count)]


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "holiday.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("one.jpg", "rome/two.jpg", "broken.jpg"):
            made.write(folder / name, name)
    return path


def unpacked(download: Any) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))


def test_a_folder_is_covered_file_by_file_and_fetched_as_a_zip(desktop: Window, folder: Path) -> None:
    page = desktop.open("guard")

    page.get_by_label("Choose a folder").set_input_files(folder)
    expect(page.locator("#guard-status")).to_contain_text("3 files")
    page.get_by_role("button", name="Cover 3 photos").click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-status")).to_contain_text(
        "2 of 3 photos covered, 1 failed. The service keeps them until"
    )
    expect(page.locator("#batch-failed li")).to_have_count(1)
    expect(page.locator("#batch-failed li")).to_contain_text("holiday/broken.jpg")
    expect(page.locator("#batch-failed li")).to_contain_text("damaged")
    assert desktop.violations() == []
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert set(unpacked(download).namelist()) == {"holiday/one.jpg", "holiday/rome/two.jpg", "failures.csv"}


def test_a_zip_shows_its_first_photo_and_is_covered(window: Window, archive: Path) -> None:
    page = window.open("guard")

    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    expect(page.locator("#guard-status")).to_contain_text("1 of 1 faces covered in one.jpg.")
    page.get_by_label("Mosaic").check()
    page.get_by_role("button", name="Cover all").click()

    expect(page.locator("#batch-status")).to_contain_text("2 of 3 photos covered, 1 failed.")
    page.get_by_text("Files", exact=True).click()
    expect(page.locator("#batch-files li", has_text="rome/two.jpg")).to_contain_text("1 face")
    assert window.violations() == []


def test_a_reload_finds_the_batch_again(window: Window, tmp_path: Path) -> None:
    photos = astronauts(tmp_path, 12)
    page = window.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
    page.get_by_role("button", name="Cover 12 photos").click()
    expect(page.locator("#batch-count")).to_contain_text("of 12 photos")

    page.reload()

    expect(page.locator("#batch-status")).to_contain_text("12 of 12 photos covered.")


def test_a_batch_is_deleted_when_it_is_no_longer_wanted(window: Window, archive: Path) -> None:
    page = window.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Cover all").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()

    with page.expect_response(lambda answer: answer.request.method == "DELETE") as answer:
        page.get_by_role("button", name="Delete from the service").click()
    expect(page.locator("#batch-status")).to_have_text("The batch was deleted, and all that it had.")
    page.reload()

    assert answer.value.status == 204
    expect(page.get_by_label("Choose photos or a ZIP")).to_be_attached()
    expect(page.locator("#guard-batch")).to_be_hidden()


def test_what_the_service_says_of_a_bad_archive_is_shown(window: Window, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"PK\x03\x04" + bytes(100))
    page = window.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(bad)

    with page.expect_response("**/batches?*") as answer:
        page.get_by_role("button", name="Cover all").click()

    expect(page.locator("#batch-trouble")).to_have_text(answer.value.json()["error"])
    page.get_by_role("button", name="More photos").click()
    expect(page.get_by_role("button", name="Cover all")).to_be_visible()


@contextmanager
def turns(settings: Settings) -> Iterator[Callable[[str], None]]:
    """What works on one photo of a batch."""
    batches, engine = open_batches(settings), Engine(settings)
    owner = LeaseOwner(batches.states, settings.state_dir / "consumers")
    yield Processor(batches, owner, lambda: engine).process_next
    owner.close()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_batch_goes_on_after_the_service_was_cut_off(
    browser: object, tmp_path: Path, folder: Path, size: str
) -> None:
    port = str(free_port())
    settings = {"PORT": port, "WEB_CONCURRENCY": "1"}
    photos = astronauts(tmp_path, 12)
    for window in new_window(browser, f"http://127.0.0.1:{port}", size):
        # What is worked on before the cut is worked on here, so that some is left however fast the machine is.
        with serving(tmp_path / "log", "compact", VISAGE_BATCH_JOBS="0", **settings) as service:
            page = window.open("guard")
            page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
            with page.expect_response("**/batches?*") as answer:
                page.get_by_role("button", name="Cover 12 photos").click()
            with turns(Settings(state_dir=Path(f"{service.log}.state"))) as turn:
                for done in (1, 2):
                    turn(answer.value.json()["id"])
                    expect(page.locator("#batch-count")).to_contain_text(f"{done} of 12 photos")
            expect(page.locator("#batch-pace")).to_have_text(
                re.compile(r"[0-9.]+ photos a (second|minute), \d+ \w+ left")
            )
        expect(page.locator("#batch-trouble")).to_contain_text("The service does not answer")

        with serving(tmp_path / "log", "compact", VISAGE_BATCH_JOBS="1", **settings):
            expect(page.locator("#batch-status")).to_contain_text("12 of 12 photos covered.")
            expect(page.locator("#batch-trouble")).to_be_hidden()


def test_a_service_that_takes_no_more_batches_is_asked_again(window: Window, photo_service: Service) -> None:
    page = window.open("guard")
    again = window.refuse_once(
        "**/batches?*", "Too many batches are being sent, watched and fetched; try again in a few seconds."
    )
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Cover 2 photos").click()

    expect(page.locator("#batch-status")).to_have_text("The service is busy. Trying again in a second.")
    again.wait().continue_()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def test_a_folder_that_is_dropped_brings_its_photos_with_their_paths(desktop: Window, folder: Path) -> None:
    page = desktop.open("guard")

    desktop.drop(folder)
    expect(page.locator("#guard-status")).to_contain_text("3 files")
    page.get_by_role("button", name="Cover 3 photos").click()

    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-files li", has_text="holiday/rome/two.jpg")).to_have_count(1)


def test_a_folder_of_more_files_than_a_browser_lists_at_once_is_dropped_whole(desktop: Window, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number}.jpg").write_bytes(b"")
    page = desktop.open("guard")

    desktop.drop(folder)

    expect(page.locator("#guard-status")).to_contain_text("250 files")


def test_the_keyboard_alone_has_a_batch_covered_and_fetches_it(window: Window, folder: Path) -> None:
    page = window.open("guard")

    window.press_until("Tab", "#guard-choose")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([folder / "one.jpg", folder / "rome" / "two.jpg"])
    expect(page.locator("#guard-status")).to_contain_text("faces covered")
    window.press_until("Tab", "[name=method]")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Mosaic")).to_be_checked()
    window.press_until("Tab", "#guard-start")
    page.keyboard.press("Enter")
    expect(page.get_by_role("group", name="Batch")).to_be_focused()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    window.press_until("Tab", "#batch-download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "result.zip"
    assert set(unpacked(download).namelist()) == {"one.jpg", "two.jpg"}

    window.press_until("Tab", "#batch-delete")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="More photos")).to_be_focused()


@pytest.mark.parametrize("way", ["button", "archive"])
def test_the_faces_of_many_photos_are_listed_in_a_table(window: Window, folder: Path, archive: Path, way: str) -> None:
    page = window.open("look")

    if way == "button":
        photos = [folder / "one.jpg", folder / "rome" / "two.jpg", folder / "broken.jpg"]
        page.get_by_label("Choose photos", exact=True).set_input_files(photos)
        page.get_by_role("button", name="List the faces of all").click()
    else:
        page.get_by_label("Choose photos", exact=True).set_input_files(archive)
    expect(page.get_by_role("heading", name="List faces")).to_be_visible()
    expect(page.get_by_role("radio", name="List faces")).to_be_checked()
    expect(page.get_by_label("Mosaic")).to_be_hidden()
    assert window.violations() == []
    page.get_by_role("button", name=re.compile("List the faces of (3 photos|all)")).click()

    expect(page.locator("#batch-status")).to_contain_text("2 of 3 photos looked at, 1 failed.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert download.value.suggested_filename == "result.zip"
    [_, *rows] = csv.reader(unpacked(download).read("results.csv").decode().splitlines())
    assert len(rows) == 2


def test_several_pictures_to_be_enlarged_are_a_batch(window: Window, folder: Path) -> None:
    page = window.open("enlarge")

    photos = [folder / "one.jpg", folder / "rome" / "two.jpg"]
    page.get_by_label("Choose a photo", exact=True).set_input_files(photos)
    expect(page.get_by_role("heading", name="Enlarge photos")).to_be_visible()
    assert window.violations() == []
    page.get_by_role("button", name="Enlarge 2 photos").click()

    expect(page.locator("#batch-status")).to_contain_text("2 of 2 photos enlarged.")
    page.get_by_text("Files", exact=True).click()
    expect(page.locator("#batch-files li")).to_have_text(["one.jpg done", "two.jpg done"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert download.value.suggested_filename == "result.zip"
    assert unpacked(download).namelist() == ["one.jpg", "two.jpg"]


def test_what_is_done_to_each_photo_is_chosen(desktop: Window, folder: Path) -> None:
    page = desktop.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files([folder / "one.jpg", folder / "rome" / "two.jpg"])
    expect(page.locator("#guard-photo .face")).to_have_count(1)

    page.get_by_role("radio", name="Enlarge").check()
    expect(page.locator("#guard-photo .face")).to_have_count(0)
    page.get_by_role("radio", name="Cover faces").check()

    expect(page.locator("#guard-photo .face")).to_have_count(1)
    expect(page.get_by_role("button", name="Cover 2 photos")).to_be_visible()


def test_a_batch_that_fails_as_a_whole_has_the_services_reason(browser: Any, tmp_path: Path) -> None:
    # Nobody works on it, so that it can be failed here, as a worker without room for results does.
    with serving(tmp_path / "log", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        batches = open_batches(Settings(state_dir=Path(f"{service.log}.state")))
        for window in new_window(browser, service.url, "desktop"):
            page = window.open("guard")
            page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
            with page.expect_response("**/batches?*") as answer:
                page.get_by_role("button", name="Cover 2 photos").click()
            expect(page.locator("#batch-status")).to_have_text("Waiting for others.")

            batches.fail(answer.value.json()["id"], "There is no room left for batches; try again later.")

            expect(page.get_by_role("heading", name="Failed", exact=True).first).to_be_visible()
            expect(page.get_by_role("alert")).to_have_text("There is no room left for batches; try again later.")
            expect(page.get_by_role("button", name="Download ZIP")).to_be_hidden()
            expect(page.get_by_role("button", name="More photos")).to_be_visible()
            assert window.violations() == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("guarded") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1", VISAGE_API_TOKEN="s3cret") as service:
        yield service


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_with_a_token_a_batch_is_found_again_and_fetched(
    browser: Any, guarded: Service, archive: Path, size: str
) -> None:
    for window in new_window(browser, guarded.url, size):
        page = window.open("guard")
        page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
        page.get_by_label("Token", exact=True).fill("s3cret")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Cover all").click()
        expect(page.locator("#batch-count")).to_contain_text("of 3 photos")

        page.reload()
        expect(page.locator("#batch-status")).to_contain_text("2 of 3 photos covered, 1 failed.")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download ZIP").click()

        assert download.value.suggested_filename == "result.zip"
        assert set(unpacked(download).namelist()) == {"one.jpg", "rome/two.jpg", "failures.csv"}


def test_a_batch_that_is_no_more_says_so_when_it_is_fetched(
    desktop: Window, archive: Path, photo_service: Service
) -> None:
    page = desktop.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    with page.expect_response("**/batches?*") as answer:
        page.get_by_role("button", name="Cover all").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    gone = requests.delete(f"{photo_service.url}/batches/{answer.value.json()['id']}", timeout=10)
    assert gone.status_code == 204

    page.get_by_role("button", name="Download ZIP").click()

    expect(page.get_by_role("heading", name="No batch")).to_be_visible()
    expect(page.locator("#batch-status")).to_contain_text("There is no batch of this id")
    page.reload()
    expect(page.locator("#guard-setup")).to_be_visible()


def test_a_batch_that_expired_while_nobody_looked_is_said_after_a_reload(desktop: Window) -> None:
    page = desktop.open("look")
    page.evaluate("sessionStorage.setItem('visage-batch', 'A'.repeat(24))")

    desktop.open("guard")

    expect(page.locator("#batch-status")).to_contain_text("There is no batch of this id")
    page.get_by_role("button", name="More photos").click()
    expect(page.get_by_label("Choose photos or a ZIP")).to_be_focused()


def test_a_proxy_that_answers_while_the_service_is_started_again_ends_no_watch(desktop: Window, archive: Path) -> None:
    page = desktop.open("guard")
    again = desktop.answer_once("**/events", status=502, content_type="text/html", body="<h1>502</h1>")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)

    page.get_by_role("button", name="Cover all").click()

    expect(page.locator("#batch-trouble")).to_contain_text("The service does not answer")
    again.wait().continue_()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-trouble")).to_be_hidden()


def test_more_photos_can_be_chosen_while_a_batch_goes_on_in_sight(desktop: Window, archive: Path) -> None:
    page = desktop.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Cover all").click()
    expect(page.locator("#guard-setup")).to_be_hidden()

    page.get_by_label("Choose photos or a ZIP").set_input_files(ASTRONAUT)

    expect(page.get_by_role("button", name="Keep face 1")).to_be_visible()
    expect(page.get_by_role("button", name="Download ZIP")).to_be_visible()


def _wait_until_done(service: Service, batch_id: str) -> None:
    events = requests.get(f"{service.url}/batches/{batch_id}/events", timeout=60)
    assert "event: end" in events.text


def test_a_batch_that_is_being_sent_is_not_mixed_up_with_the_one_before(
    desktop: Window, tmp_path: Path, photo_service: Service
) -> None:
    photos = astronauts(tmp_path, 12)
    page = desktop.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
    page.get_by_role("button", name="Cover 12 photos").click()
    expect(page.locator("#batch-count")).to_contain_text("of 12 photos")
    held = desktop.hold("**/batches?*")

    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Cover 2 photos").click()
    held.wait()
    _wait_until_done(photo_service, page.evaluate("sessionStorage.getItem('visage-batch')"))

    expect(page.locator("#batch-status")).to_contain_text("Sending 2 files")
    held.wait().continue_()
    expect(page.locator("#batch-status")).to_contain_text("2 of 2 photos covered.")


def test_what_is_being_sent_can_be_stopped(desktop: Window) -> None:
    page = desktop.open("guard")
    desktop.hold("**/batches?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Cover 2 photos").click()

    page.get_by_role("button", name="Stop and delete").click()

    expect(page.get_by_role("button", name="Cover 2 photos")).to_be_visible()
    expect(page.locator("#guard-batch")).to_be_hidden()
