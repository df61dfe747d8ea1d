"""The view that finds faces with many photos, many faces, large photos, and photos without a face."""

import codecs
import csv
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.service import Service
from tests.support.window import ASTRONAUT, Window, expect


@pytest.fixture
def large(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    """The astronaut, 1800 pixels wide, on a photo of 12 megapixels with noise."""
    pixels = np.random.default_rng(1).normal(128, 4, (3000, 4000, 3)).clip(0, 255).astype(np.uint8)
    pixels[600:2400, 1000:2800] = cv2.resize(astronaut, (1800, 1800), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A photo without a face."""
    path = tmp_path / "empty.png"
    cv2.imwrite(str(path), np.full((200, 300, 3), 128, np.uint8))
    return path


def strip(page: Any) -> Any:
    return page.locator("#find-faces-strip button:not(.remove)")


def test_photos_can_be_removed_one_by_one_and_all_at_once(window: Window, two_faces: Path, empty: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files([ASTRONAUT, two_faces, empty])
    expect(page.get_by_role("button", name="List all as CSV")).to_be_enabled()

    page.get_by_role("button", name="Remove astronaut.jpg").click()
    expect(strip(page)).to_have_text(["two.png2 faces", "empty.pngNo faces"])
    expect(page.get_by_role("status")).to_have_text("two.png: 2 faces.")
    expect(strip(page).first).to_be_focused()
    assert window.violations() == []
    page.get_by_role("button", name="Remove all").click()

    expect(strip(page)).to_have_count(0)
    expect(page.locator("#find-faces-result")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("")
    expect(page.get_by_label("Choose photos", exact=True)).to_be_focused()


def test_a_photo_that_is_removed_in_work_leaves_the_service_and_the_next_one_follows(
    desktop: Window, two_faces: Path
) -> None:
    page = desktop.open()
    held = desktop.hold("**/predict?*")
    page.get_by_label("Choose photos", exact=True).set_input_files([ASTRONAUT, two_faces])
    held.wait()

    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Remove astronaut.jpg").click()

    expect(page.get_by_role("status")).to_have_text("two.png: 2 faces.")


def test_all_faces_are_listed_from_the_answers_at_hand(window: Window, two_faces: Path, empty: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files([two_faces, empty])
    list_button = page.get_by_role("button", name="List all as CSV")
    expect(list_button).to_be_enabled()
    requests = window.record("request")

    with page.expect_download() as download:
        list_button.click()

    assert [each for each in requests if not each.url.startswith("blob:")] == []
    assert download.value.suggested_filename == "faces.csv"
    content = download.value.path().read_bytes()
    # Excel takes a file that begins with this mark for UTF-8.
    assert content.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [(row["file"], row["face"]) for row in rows] == [("two.png", "1"), ("two.png", "2"), ("empty.png", "0")]
    assert (rows[0]["gender"], rows[2]["gender"]) == ("Female", "")


def test_the_list_has_the_columns_of_a_batch_and_only_faces_that_are_shown(desktop: Window, two_faces: Path) -> None:
    page = desktop.open()
    page.get_by_label("Choose photos", exact=True).set_input_files([two_faces, ASTRONAUT])
    expect(page.get_by_role("button", name="List all as CSV")).to_be_enabled()

    page.get_by_label("Smallest face").fill("70")
    with page.expect_download() as download:
        page.get_by_role("button", name="List all as CSV").click()

    [columns, *rows] = csv.reader(io.StringIO(download.value.path().read_text("utf-8-sig")))
    attributes = ["confidence", "gender", "gender_confidence", "age", "age_confidence", "age_years"]
    assert columns == ["file", "face", "x1", "y1", "x2", "y2", *attributes]
    assert [row[0] for row in rows] == ["two.png", "astronaut.jpg"]


def test_a_large_photo_is_sent_as_a_smaller_copy_with_boxes_in_its_own_pixels(window: Window, large: Path) -> None:
    page = window.open()

    with page.expect_response("**/predict?*") as response:
        page.get_by_label("Choose photos", exact=True).set_input_files(large)
    expect(page.get_by_role("button", name="Face 1")).to_be_visible()

    received = response.value.json()["image"]
    assert (received["width"], received["height"]) == (2048, 1536)
    expect(page.locator("#find-faces-note")).to_have_text(
        "To find faces, a smaller copy of 2048 \N{MULTIPLICATION SIGN} 1536 pixels was sent."
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    result = json.loads(download.value.path().read_text())
    assert (result["image"]["width"], result["image"]["height"]) == (4000, 3000)
    # The astronaut's face is at 180..270 x 80..190 of 512 pixels.
    x1, y1, x2, y2 = result["faces"][0]["bbox"]
    assert [x1, y1, x2, y2] == pytest.approx([1600, 830, 1990, 1290], abs=120)


def test_a_thorough_search_gets_a_larger_copy(desktop: Window, large: Path) -> None:
    page = desktop.open()
    page.get_by_label("Search for small faces").select_option("high", force=True)

    with page.expect_response("**/predict?*detail=high") as response:
        page.get_by_label("Choose photos", exact=True).set_input_files(large)

    received = response.value.json()["image"]
    assert (received["width"], received["height"]) == (3840, 2880)


def test_without_a_face_the_page_offers_to_search_more_closely(window: Window, empty: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(empty)
    expect(page.get_by_role("status")).to_have_text("empty.png: No faces.")
    closer = page.get_by_role("button", name="Search more closely")
    expect(closer).to_be_in_viewport()
    assert window.violations() == []

    with page.expect_request("**/predict?*detail=high"):
        closer.click()

    expect(page.get_by_role("status")).to_have_text("empty.png: No faces, even after a thorough search.")
    expect(closer).to_be_hidden()


def test_every_box_has_its_number(window: Window, two_faces: Path) -> None:
    page = window.open()

    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)

    expect(page.locator("button.face .number")).to_have_text(["1", "2"])


def test_with_a_hundred_faces_the_downloads_stay_in_reach(window: Window, photo_service: Service) -> None:
    answer = photo_service.post(ASTRONAUT.read_bytes(), annotated="false").json()
    [face] = answer["faces"]
    corners = [(50 * (number % 10), 50 * (number // 10)) for number in range(100)]
    faces = [{**face, "bbox": [x, y, x + 30, y + 40]} for x, y in corners]
    window.page.route("**/predict?*", lambda route: route.fulfill(json={**answer, "faces": faces}))
    page = window.open()

    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
    expect(page.locator("#find-faces-rows tr")).to_have_count(100)

    table = page.get_by_role("region", name="100 faces")
    assert table.bounding_box()["height"] <= page.viewport_size["height"]
    download = page.get_by_role("button", name="Download JSON").bounding_box()
    photo = page.locator("#find-faces-photo").bounding_box()
    assert download["y"] - (photo["y"] + photo["height"]) < page.viewport_size["height"]
    page.get_by_role("button", name="Face 100:").focus()
    expect(page.locator("#find-faces-rows tr").last).to_be_visible()
    row, box = page.locator("#find-faces-rows tr").last.bounding_box(), table.bounding_box()
    assert box["y"] <= row["y"]
    assert row["y"] + row["height"] <= box["y"] + box["height"] + 1


def test_a_proxy_that_finds_a_file_too_large_is_explained(desktop: Window) -> None:
    page = desktop.open()
    html = "<html><h1>413 Request Entity Too Large</h1></html>"
    page.route("**/predict?*", lambda route: route.fulfill(status=413, content_type="text/html", body=html))

    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)

    expect(page.get_by_role("alert")).to_have_text(
        "astronaut.jpg: There are too many bytes for the service. "
        "Send a smaller copy of the photo, or fewer photos at once."
    )
