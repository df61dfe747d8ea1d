"""The photos of a finished batch: checked, corrected one by one, and downloaded."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.browser.support import unpacked
from tests.support.window import ASTRONAUT, Window, expect


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """A photo with a face, one without, a damaged one, and a video."""
    paths = [tmp_path / name for name in ("face.jpg", "wall.png", "broken.jpg", "clip.mov")]
    paths[0].write_bytes(ASTRONAUT.read_bytes())
    cv2.imwrite(str(paths[1]), np.full((300, 400, 3), (90, 160, 60), np.uint8))
    paths[2].write_bytes(ASTRONAUT.read_bytes()[:3000])
    paths[3].write_bytes(b"video")
    return paths


def reviewed(window: Window, files: list[Path]) -> Any:
    """Send files and wait for the review of their results."""
    page = window.open("hide-faces")
    page.get_by_label("Choose photos or a ZIP").set_input_files(files)
    page.get_by_role("button", name="Hide faces in").click()
    expect(page.locator("#batch-review")).to_be_visible()
    return page


def correct(page: Any, name: str) -> None:
    """Open a photo of the batch, add a box in its middle, and save it."""
    page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="Add a box").click()
    page.get_by_role("button", name="Save photo").click()


def picture_in(archive: Any, name: str) -> Any:
    return cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)


def test_photos_without_a_face_come_first_and_what_was_left_out_is_named(window: Window, mixed: list[Path]) -> None:
    page = reviewed(window, mixed)

    expect(page.locator("#batch-status")).to_have_text("2 done, 1 without a face, 2 left out.")
    expect(page.locator("#batch-photos button")).to_have_text(["wall.pngNo faces", "face.jpg1 face"])
    expect(page.locator("#batch-failed li")).to_contain_text(["broken.jpg", "clip.mov not a photo"])
    assert window.violations() == []


def test_files_that_are_no_photos_are_named_before_they_are_left_out(window: Window, mixed: list[Path]) -> None:
    page = window.open("hide-faces")

    page.get_by_label("Choose photos or a ZIP").set_input_files(mixed)
    page.get_by_text("1 file is left out: it is not a photo").click()

    expect(page.locator("#hide-faces-left-out li")).to_have_text(["clip.mov"])
    assert window.violations() == []


def test_a_missed_face_is_hidden_in_the_result(window: Window, mixed: list[Path]) -> None:
    page = reviewed(window, mixed)

    page.get_by_role("button", name="face.jpg").click()
    page.get_by_role("button", name="Keep face 1").click()
    page.get_by_label("Solid").check()
    page.get_by_role("button", name="Add a box").click()
    assert window.violations() == []
    page.get_by_role("button", name="Save photo").click()

    expect(page.get_by_role("button", name="face.jpg")).to_be_focused()
    expect(page.get_by_role("button", name="face.jpg")).to_contain_text("1 place hidden, corrected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    picture, original = picture_in(unpacked(download), "face.jpg"), np.asarray(cv2.imread(str(ASTRONAUT)))
    # The face is as it was, and the middle is black.
    assert cv2.PSNR(picture[80:150, 195:250], original[80:150, 195:250]) > 30
    assert picture[246:266, 246:266].max() < 20


def test_changes_are_not_left_without_a_question(desktop: Window, mixed: list[Path]) -> None:
    page = reviewed(desktop, mixed[:2])
    page.get_by_role("button", name="face.jpg").click()
    page.get_by_role("button", name="Keep face 1").click()

    page.get_by_role("button", name="Back to the batch").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Save photo")).to_be_visible()
    page.get_by_role("button", name="Back to the batch").click()
    page.get_by_role("button", name="Leave", exact=True).click()

    expect(page.get_by_role("button", name="face.jpg")).to_be_focused()
    expect(page.get_by_role("button", name="face.jpg")).not_to_contain_text("corrected")


def test_after_a_reload_the_original_is_asked_for(window: Window, mixed: list[Path]) -> None:
    reviewed(window, mixed[:2])
    page = window.page

    page.reload()
    page.get_by_role("button", name="face.jpg").click()
    expect(page.locator("#hide-faces-status")).to_have_text(
        "To correct face.jpg, choose its original: the service keeps only the result."
    )
    assert window.violations() == []
    page.get_by_label("Choose the original").set_input_files(mixed[1])
    expect(page.locator("#hide-faces-error")).to_have_text("This is not the original of face.jpg: it has another size.")
    page.get_by_label("Choose the original").set_input_files(mixed[0])
    page.get_by_role("button", name="Keep face 1").click()
    page.get_by_role("button", name="Save photo").click()

    expect(page.get_by_role("button", name="face.jpg")).to_contain_text("No faces, corrected")


def test_a_photo_of_a_zip_is_corrected(desktop: Window, archive: Path) -> None:
    page = reviewed(desktop, [archive])

    correct(page, "rome/two.jpg")

    expect(page.get_by_role("button", name="rome/two.jpg")).to_contain_text("corrected")
    expect(page.get_by_role("button", name="one.jpg")).to_contain_text("1 face")


def test_forty_files_need_six_actions(desktop: Window, mixed: list[Path], tmp_path: Path) -> None:
    names = [tmp_path / f"{number:02}.jpg" for number in range(36)]
    for name in names:
        name.write_bytes(ASTRONAUT.read_bytes())
    page = desktop.open("hide-faces")

    page.get_by_label("Choose photos or a ZIP").set_input_files([*mixed, *names])
    page.get_by_role("button", name="Hide faces in 39 photos").click()
    expect(page.locator("#batch-status")).to_have_text("38 done, 1 without a face, 2 left out.", timeout=300_000)
    correct(page, "wall.png")
    expect(page.get_by_role("button", name="wall.png")).to_contain_text("corrected")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()

    assert len(unpacked(download).namelist()) == 39  # With the table of what failed.
