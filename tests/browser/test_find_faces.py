"""The view that finds faces: adding photos, boxes and cards, sliders and downloads."""

import base64
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest

from tests.support.service import Service
from tests.support.window import ASTRONAUT, Window, expect


def test_the_sample_shows_a_face_with_its_attributes(window: Window) -> None:
    page = window.open()

    page.get_by_role("button", name="Try a sample").click()

    expect(page.get_by_role("button", name="Face 1: Female 85%, age 20-29 48%")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face.")
    expect(page.locator("#find-faces-card")).to_contain_text("Face 1")
    expect(page.get_by_role("table", name="1 face")).to_contain_text("20-29 48%")
    assert window.violations() == []


def test_a_box_lies_where_the_service_found_the_face(window: Window, photo_service: Service) -> None:
    page = window.open()
    [face] = photo_service.post(ASTRONAUT.read_bytes(), annotated="false").json()["faces"]

    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
    page.locator("button.face").wait_for()

    photo, box = page.locator("#find-faces-photo img").bounding_box(), page.locator("button.face").bounding_box()
    scale = photo["width"] / 512
    drawn = [box["x"] - photo["x"], box["y"] - photo["y"], box["width"], box["height"]]
    x1, y1, x2, y2 = face["bbox"]
    assert drawn == pytest.approx([x1 * scale, y1 * scale, (x2 - x1) * scale, (y2 - y1) * scale], abs=1)


def test_hovering_over_a_face_shows_its_card_beside_it(desktop: Window, two_faces: Path) -> None:
    page = desktop.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)
    second = page.get_by_role("button", name="Face 2")

    second.hover()

    expect(page.locator("#find-faces-card h2")).to_have_text("Face 2")
    expect(page.locator("#find-faces-rows tr").nth(1)).to_have_class("active")
    card, box, photo = (
        page.locator(each).bounding_box() for each in ("#find-faces-card", ".face.active", "#find-faces-photo")
    )
    assert card["x"] >= box["x"] + box["width"] or card["x"] + card["width"] <= box["x"]
    assert photo["x"] <= card["x"]
    assert card["x"] + card["width"] <= photo["x"] + photo["width"]


def test_the_card_of_a_face_hides_no_other_face(desktop: Window, two_faces: Path) -> None:
    page = desktop.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)
    page.get_by_role("button", name="Face 2").hover()

    card, other = (
        page.locator("#find-faces-card").bounding_box(),
        page.get_by_role("button", name="Face 1").bounding_box(),
    )

    assert (
        card["x"] >= other["x"] + other["width"]
        or card["x"] + card["width"] <= other["x"]
        or card["y"] >= other["y"] + other["height"]
        or card["y"] + card["height"] <= other["y"]
    )


def test_the_card_is_in_place_when_the_result_came_while_the_view_was_hidden(desktop: Window) -> None:
    page = desktop.open()
    held = desktop.hold("**/predict?*")
    page.get_by_label("Choose photos", exact=True).set_input_files(ASTRONAUT)
    request = held.wait()
    page.get_by_role("link", name="Camera", exact=True).click()
    expect(page.get_by_role("heading", name="Camera")).to_be_visible()
    request.continue_()
    expect(page.locator("button.face")).to_have_count(1)

    page.get_by_role("link", name="Find faces", exact=True).click()

    card, face = page.locator("#find-faces-card"), page.locator("button.face")
    expect(card).to_have_attribute("style", re.compile("left: "))
    assert card.bounding_box()["x"] >= face.bounding_box()["x"] + face.bounding_box()["width"]


def test_every_face_and_slider_can_be_reached_with_the_keyboard(window: Window, two_faces: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)
    page.get_by_role("button", name="Face 2").wait_for()

    window.press_until("Tab", "button.face")
    expect(page.locator("#find-faces-card h2")).to_have_text("Face 1")
    page.keyboard.press("Tab")
    expect(page.locator("#find-faces-card h2")).to_have_text("Face 2")
    page.keyboard.press("Escape")
    expect(page.locator("#find-faces-card")).to_be_hidden()
    window.press_until("Tab", "#find-faces-size")
    page.keyboard.press("End")

    expect(page.get_by_role("status")).to_have_text("two.png: No faces.")


def test_sliders_filter_faces_without_another_request(window: Window, two_faces: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)
    expect(page.locator("button.face")).to_have_count(2)
    requests = window.record("request")

    page.get_by_label("Smallest face").fill("70")

    expect(page.locator("button.face")).to_have_count(1)
    expect(page.locator("#find-faces-rows tr")).to_have_count(1)
    assert requests == []


def test_several_photos_are_analyzed_one_after_the_other(window: Window, two_faces: Path) -> None:
    page = window.open()

    page.get_by_label("Choose photos", exact=True).set_input_files([ASTRONAUT, two_faces])

    photos = page.get_by_role("list", name="Photos")
    expect(photos.get_by_role("button", name="astronaut.jpg 1 face")).to_have_attribute("aria-current", "true")
    photos.get_by_role("button", name="two.png 2 faces").click()
    expect(page.locator("button.face")).to_have_count(2)
    expect(photos.get_by_role("button", name="two.png 2 faces")).to_be_focused()
    assert window.violations() == []


def test_a_file_name_with_markup_is_shown_as_text(desktop: Window, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    shutil.copy(ASTRONAUT, tmp_path / name)
    page = desktop.open()

    page.get_by_label("Choose photos", exact=True).set_input_files([tmp_path / name, ASTRONAUT])

    expect(page.get_by_role("status")).to_have_text(f"{name}: 1 face.")
    expect(page.get_by_role("list", name="Photos").get_by_role("button").first).to_have_text(f"{name}1 face")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_photo_can_be_pasted_or_dropped(window: Window, event: str) -> None:
    page = window.open()

    page.evaluate(
        """([event, content]) => {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt());
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
            const made = event === "paste"
              ? new ClipboardEvent("paste", { clipboardData: transfer })
              : new DragEvent("drop", { dataTransfer: transfer });
            dispatchEvent(made);
        }""",
        [event, base64.b64encode(ASTRONAUT.read_bytes()).decode()],
    )

    expect(page.get_by_role("status")).to_have_text("given.jpg: 1 face.")


def test_a_photo_can_be_taken_with_the_camera(desktop: Window) -> None:
    page = desktop.open()

    page.get_by_role("button", name="Take a photo").click()
    dialog = page.get_by_role("dialog", name="Take a photo")
    expect(dialog.get_by_role("button", name="Take photo")).to_be_enabled()
    assert desktop.violations() == []
    dialog.get_by_role("button", name="Take photo").click()

    expect(page.get_by_role("status")).to_contain_text("camera.jpg: ")
    assert page.evaluate("document.getElementById('photo-dialog-video').srcObject") is None


def test_the_downloads_contain_the_visible_faces(window: Window, two_faces: Path) -> None:
    page = window.open()
    page.get_by_label("Choose photos", exact=True).set_input_files(two_faces)
    page.get_by_label("Smallest face").fill("70")
    expect(page.locator("button.face")).to_have_count(1)

    with page.expect_download() as description:
        page.get_by_role("button", name="Download JSON").click()
    with page.expect_response("**/analyze?*") as response, page.expect_download() as picture:
        page.get_by_role("button", name="Download photo").click()

    assert description.value.suggested_filename == "two-faces.json"
    assert len(json.loads(description.value.path().read_text())["faces"]) == 1
    assert response.value.headers["x-face-count"] == "1"
    assert picture.value.suggested_filename == "two-faces.jpg"
    drawn = cv2.imread(str(picture.value.path()))
    assert drawn is not None
    assert drawn.shape == (512, 1024, 3)
