"""Batches on the page: progress, reload, deletion and errors."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.browser.support import astronauts, unpacked
from tests.support.service import Service, free_port, serving
from tests.support.window import ASTRONAUT, Window, expect, new_window
from visage.batches import open_batches
from visage.batches.processing import Processor
from visage.batches.state_machine import LeaseOwner
from visage.runtime.engine import Engine
from visage.settings import Settings


def test_a_reload_shows_the_same_batch(window: Window, tmp_path: Path) -> None:
    photos = astronauts(tmp_path, 12)
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
    page.get_by_role("button", name="Hide faces in 12 photos").click()
    expect(page.locator("#batch-count")).to_contain_text("of 12 photos")

    page.reload()

    expect(page.locator("#batch-status")).to_contain_text("12 done, 0 without a face, 0 left out.")


def test_a_batch_can_be_deleted(window: Window, archive: Path) -> None:
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()

    with page.expect_response(lambda answer: answer.request.method == "DELETE") as answer:
        page.get_by_role("button", name="Delete from the service").click()
        page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#batch-status")).to_have_text("The batch and all of its files were deleted.")
    page.reload()

    assert answer.value.status == 204
    expect(page.get_by_label("Choose photos or a ZIP")).to_be_attached()
    expect(page.locator("#batch")).to_be_hidden()


def test_the_error_for_a_damaged_zip_is_shown(window: Window, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"PK\x03\x04" + bytes(100))
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(bad)

    with page.expect_response("**/batches?*") as answer:
        page.get_by_role("button", name="Hide faces in all photos").click()

    expect(page.locator("#batch-error")).to_have_text(answer.value.json()["error"])
    page.get_by_role("button", name="More photos").click()
    expect(page.get_by_role("button", name="Hide faces in all photos")).to_be_visible()


@contextmanager
def turns(settings: Settings) -> Iterator[Callable[[str], None]]:
    """What works on one photo of a batch."""
    batches, engine = open_batches(settings), Engine(settings)
    owner = LeaseOwner(batches.states, settings.state_dir / "consumers")
    yield Processor(batches, owner, lambda: engine).process_next
    owner.close()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_batch_continues_after_the_service_restarts(browser: object, tmp_path: Path, folder: Path, size: str) -> None:
    port = str(free_port())
    settings = {"PORT": port, "WEB_CONCURRENCY": "1"}
    photos = astronauts(tmp_path, 12)
    for window in new_window(browser, f"http://127.0.0.1:{port}", size):
        # The test itself processes the photos before the restart, so that a fast machine leaves some for later.
        with serving(tmp_path / "log", "compact", VISAGE_BATCH_JOBS="0", **settings) as service:
            page = window.open("hide-faces")
            page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
            with page.expect_response("**/batches?*") as answer:
                page.get_by_role("button", name="Hide faces in 12 photos").click()
            with turns(Settings(state_dir=Path(f"{service.log}.state"))) as turn:
                for done in (1, 2):
                    turn(answer.value.json()["id"])
                    expect(page.locator("#batch-count")).to_contain_text(f"{done} of 12 photos")
            expect(page.locator("#batch-rate")).to_have_text(
                re.compile(r"[0-9.]+ photos a (second|minute), \d+ \w+ left")
            )
        expect(page.locator("#batch-error")).to_contain_text("The service does not respond")

        with serving(tmp_path / "log", "compact", VISAGE_BATCH_JOBS="1", **settings):
            expect(page.locator("#batch-status")).to_contain_text("12 done, 0 without a face, 0 left out.")
            expect(page.locator("#batch-error")).to_be_hidden()


def test_a_batch_is_sent_again_when_the_service_is_busy(window: Window, photo_service: Service) -> None:
    page = window.open("hide-faces")
    retry = window.reject_once(
        "**/batches?*", "Too many batches are being sent, watched and fetched; try again in a few seconds."
    )
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Hide faces in 2 photos").click()

    expect(page.locator("#batch-status")).to_have_text("The service is busy. Trying again in a second.")
    retry.wait().continue_()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()


def test_a_failed_batch_shows_the_reason(browser: Any, tmp_path: Path) -> None:
    # No consumer runs. The test fails the batch, as a worker does when the disk is full.
    with serving(tmp_path / "log", "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="0") as service:
        batches = open_batches(Settings(state_dir=Path(f"{service.log}.state")))
        for window in new_window(browser, service.url, "desktop"):
            page = window.open("hide-faces")
            page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
            with page.expect_response("**/batches?*") as answer:
                page.get_by_role("button", name="Hide faces in 2 photos").click()
            expect(page.locator("#batch-status")).to_have_text("Waiting for other batches.")

            batches.fail(answer.value.json()["id"], "There is no room left for batches; try again later.")

            expect(page.get_by_role("heading", name="Failed", exact=True).first).to_be_visible()
            expect(page.get_by_role("alert")).to_have_text("There is no room left for batches; try again later.")
            expect(page.get_by_role("button", name="Download ZIP")).to_be_hidden()
            expect(page.get_by_role("button", name="More photos")).to_be_visible()
            assert window.violations() == []


@pytest.fixture(scope="module")
def token_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("token_service") / "log"
    with serving(log, "compact", WEB_CONCURRENCY="1", VISAGE_BATCH_JOBS="1", VISAGE_API_TOKEN="s3cret") as service:
        yield service


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_batch_is_shown_again_and_downloaded_with_a_token(
    browser: Any, token_service: Service, archive: Path, size: str
) -> None:
    for window in new_window(browser, token_service.url, size):
        page = window.open("hide-faces")
        page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
        page.get_by_label("Token", exact=True).fill("s3cret")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Hide faces in all photos").click()
        expect(page.locator("#batch-count")).to_contain_text("of 3 photos")

        page.reload()
        expect(page.locator("#batch-status")).to_contain_text("2 done, 0 without a face, 1 left out.")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download ZIP").click()

        assert download.value.suggested_filename == "holiday-anonymized.zip"
        assert set(unpacked(download).namelist()) == {"one.jpg", "rome/two.jpg", "failures.csv"}


def test_a_request_that_was_sent_before_the_token_was_entered_does_not_ask_again(
    browser: Any, token_service: Service, archive: Path
) -> None:
    for window in new_window(browser, token_service.url, "desktop"):
        page = window.open("hide-faces")
        room = window.hold("**/batches")
        page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
        page.get_by_label("Token", exact=True).fill("s3cret")
        page.keyboard.press("Enter")
        expect(page.locator("#hide-faces-photo .face")).to_have_count(1)

        room.wait().fulfill(status=401, json={"error": "This service requires a token.", "code": "unauthorized"})

        expect(page.locator("#hide-faces-room")).to_be_visible()
        expect(page.get_by_role("dialog", name="Access token")).to_be_hidden()


def test_the_download_of_a_deleted_batch_shows_that_it_is_gone(
    desktop: Window, archive: Path, photo_service: Service
) -> None:
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)
    with page.expect_response("**/batches?*") as answer:
        page.get_by_role("button", name="Hide faces in all photos").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    gone = requests.delete(f"{photo_service.url}/batches/{answer.value.json()['id']}", timeout=10)
    assert gone.status_code == 204

    page.get_by_role("button", name="Download ZIP").click()

    expect(page.get_by_role("heading", name="No batch")).to_be_visible()
    expect(page.locator("#batch-status")).to_contain_text("There is no batch of this id")
    page.reload()
    expect(page.locator("#hide-faces-setup")).to_be_visible()


def test_a_reload_shows_that_the_batch_has_expired(desktop: Window) -> None:
    page = desktop.page
    page.goto(f"{desktop.url}/#hide/{'A' * 24}")

    expect(page.locator("#batch-status")).to_contain_text("There is no batch of this id")
    page.get_by_role("button", name="More photos").click()
    expect(page.get_by_label("Choose photos or a ZIP")).to_be_focused()


def test_a_proxy_error_during_a_restart_does_not_end_the_progress(desktop: Window, archive: Path) -> None:
    page = desktop.open("hide-faces")
    retry = desktop.respond_once("**/events", status=502, content_type="text/html", body="<h1>502</h1>")
    page.get_by_label("Choose photos or a ZIP").set_input_files(archive)

    page.get_by_role("button", name="Hide faces in all photos").click()

    expect(page.locator("#batch-error")).to_contain_text("The service does not respond")
    retry.wait().continue_()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    expect(page.locator("#batch-error")).to_be_hidden()


def _wait_until_done(service: Service, batch_id: str) -> None:
    events = requests.get(f"{service.url}/batches/{batch_id}/events", timeout=60)
    assert "event: end" in events.text


def test_the_end_of_the_last_batch_does_not_replace_the_upload_of_the_next(
    desktop: Window, tmp_path: Path, photo_service: Service
) -> None:
    photos = astronauts(tmp_path, 12)
    page = desktop.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
    page.get_by_role("button", name="Hide faces in 12 photos").click()
    expect(page.locator("#batch-count")).to_contain_text("of 12 photos")
    held = desktop.hold("**/batches?*")

    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Hide faces in 2 photos").click()
    held.wait()
    _wait_until_done(photo_service, page.url.rpartition("/")[2])

    expect(page.locator("#batch-status")).to_contain_text("Sending 2 files")
    held.wait().continue_()
    expect(page.locator("#batch-status")).to_contain_text("2 done, 0 without a face, 0 left out.")


def test_an_upload_can_be_stopped(desktop: Window) -> None:
    page = desktop.open("hide-faces")
    desktop.hold("**/batches?*")
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Hide faces in 2 photos").click()

    page.get_by_role("button", name="Stop and delete").click()
    page.get_by_role("button", name="Stop", exact=True).click()

    expect(page.get_by_role("button", name="Hide faces in 2 photos")).to_be_visible()
    expect(page.locator("#batch")).to_be_hidden()
