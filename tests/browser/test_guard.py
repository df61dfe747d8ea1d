"""Covering faces: the preview, faces that are kept, folders and ZIPs as batches, and what goes wrong on the way."""

import io
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.service import Service, free_port, serving
from tests.browser.window import ASTRONAUT, Window, expect, new_window


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


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "holiday.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("one.jpg", "rome/two.jpg", "broken.jpg"):
            made.write(folder / name, name)
    return path


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
    names = set(zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())).namelist())
    assert names == {"holiday/one.jpg", "holiday/rome/two.jpg", "failures.csv"}


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
    photos = []
    for number in range(12):
        photos.append(tmp_path / f"{number}.jpg")
        shutil.copy(ASTRONAUT, photos[-1])
    page = window.open("guard")
    page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
    page.get_by_role("button", name="Cover 12 photos").click()
    expect(page.locator("#batch-status")).to_contain_text("of 12 photos")

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
    page.get_by_role("button", name="Cover more").click()
    expect(page.get_by_role("button", name="Cover all")).to_be_visible()


def test_a_photo_that_cannot_be_covered_has_its_sentence_and_no_download(window: Window, folder: Path) -> None:
    page = window.open("guard")

    page.get_by_label("Choose photos or a ZIP").set_input_files(folder / "broken.jpg")

    expect(page.get_by_role("alert")).to_contain_text("broken.jpg: ")
    expect(page.get_by_role("alert")).to_contain_text("damaged")
    expect(page.get_by_role("button", name="Download photo")).to_be_disabled()


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_batch_goes_on_after_the_service_was_cut_off(
    browser: object, tmp_path: Path, folder: Path, size: str
) -> None:
    port = str(free_port())
    settings = {"PORT": port, "WEB_CONCURRENCY": "1", "VISAGE_BATCH_JOBS": "1"}
    photos = []
    for number in range(60):
        photos.append(tmp_path / f"{number}.jpg")
        shutil.copy(ASTRONAUT, photos[-1])
    for window in new_window(browser, f"http://127.0.0.1:{port}", size):
        with serving(tmp_path / "log", "compact", **settings):
            page = window.open("guard")
            page.get_by_label("Choose photos or a ZIP").set_input_files(photos)
            page.get_by_role("button", name="Cover 60 photos").click()
            expect(page.locator("#batch-status")).to_contain_text("of 60 photos")
            expect(page.locator("#batch-pace")).to_have_text(re.compile(r"[0-9.]+ photos a second, \d+ seconds left"))
        expect(page.locator("#batch-trouble")).to_contain_text("The service does not answer")

        with serving(tmp_path / "log", "compact", **settings):
            expect(page.locator("#batch-status")).to_contain_text("60 of 60 photos covered.", timeout=30_000)
            expect(page.locator("#batch-trouble")).to_be_hidden()


def test_a_service_that_takes_no_more_batches_is_asked_again(window: Window, photo_service: Service) -> None:
    page = window.open("guard")
    refusal = {"error": "Too many batches are being sent, watched and fetched; try again in a few seconds."}
    page.route(
        "**/batches?*", lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}, json=refusal), times=1
    )
    page.get_by_label("Choose photos or a ZIP").set_input_files([ASTRONAUT, ASTRONAUT])
    page.get_by_role("button", name="Cover 2 photos").click()

    expect(page.locator("#batch-status")).to_have_text("The service is busy. Trying again in a second.")
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
