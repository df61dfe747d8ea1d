"""Annotated photos: only frames and labels are drawn, lines fit the faces, and boxes follow the scale."""

from itertools import combinations

import numpy as np
import pytest

from tests.faces.support import crowd, face, image, overlap
from visage.faces.annotation import FILLS, INK, annotate, place_labels, size_pen
from visage.faces.face import Face
from visage.images.boxes import Box

Scene = tuple[list[Face], int, int, float]  # faces, width, height and scale of an image


SCENES: dict[str, Scene] = {
    "one pixel": ([face(0, 0, 1, 1)], 1, 1, 1),
    "one row": ([face(0, 0, 300, 1)], 300, 1, 1),
    "one column": ([face(0, 0, 1, 300)], 1, 300, 1),
    "smaller than any label": ([face(2, 2, 9, 9)], 12, 12, 1),
    "one face": ([face(60, 60, 140, 160)], 200, 200, 1),
    "fills the image": ([face(0, 0, 200, 200)], 200, 200, 1),
    "on every edge": (
        [face(0, 80, 30, 120), face(170, 80, 200, 120), face(80, 0, 120, 30), face(80, 170, 120, 200)],
        200,
        200,
        1,
    ),
    "in every corner": (
        [face(0, 0, 8, 8), face(192, 0, 200, 8), face(0, 192, 8, 200), face(192, 192, 200, 200)],
        200,
        200,
        1,
    ),
    "overlapping": ([face(40 + 9 * i, 40 + 7 * i, 120 + 9 * i, 120 + 7 * i) for i in range(8)], 300, 300, 1),
    "duplicates": ([face(60, 60, 140, 140)] * 12, 200, 200, 1),
    "nested": ([face(10 * i, 10 * i, 400 - 10 * i, 400 - 10 * i) for i in range(18)], 400, 400, 1),
    "sixty in a small image": (crowd(60, 200, 200, seed=1), 200, 200, 1),
    "sixty in a photo": (crowd(60, 1200, 900, seed=2), 1200, 900, 1),
    "a hundred in 24 megapixels": (crowd(100, 6000, 4000, seed=3), 6000, 4000, 1),
    "decoded at an eighth": (crowd(60, 6000, 4000, seed=4), 750, 500, 1 / 8),
    "outside the image by rounding": ([face(900, 900, 1001, 1001)], 250, 250, 0.25),
    "narrower than a pixel once scaled": ([face(999, 999, 1000, 1000)], 125, 125, 1 / 8),
    "labels of other packs": (
        [
            face(5, 5, 60, 60, gender, age, ("", "Nonbinary (gy)", "Ünbekannt", "日本"))
            for gender in ("", "Nonbinary (gy)", "Ünbekannt", "日本")
            for age in ("", "adult", "years " * 20)
        ],
        400,
        300,
        1,
    ),
}


@pytest.fixture(params=list(SCENES.values()), ids=list(SCENES))
def scene(request: pytest.FixtureRequest) -> Scene:
    found: Scene = request.param
    return found


# Invariants for all scenes


def test_every_label_is_inside_the_image(scene: Scene) -> None:
    faces, width, height, scale = scene

    labels = place_labels(faces, width, height, scale)

    def inside(box: Box) -> bool:
        return 0 <= box.x1 < box.x2 <= width and 0 <= box.y1 < box.y2 <= height

    assert [label for label in labels if not inside(label.box)] == []


def test_no_label_covers_another(scene: Scene) -> None:
    labels = place_labels(*scene)

    assert [pair for pair in combinations(labels, 2) if overlap(pair[0].box, pair[1].box)] == []


def test_no_face_has_two_labels(scene: Scene) -> None:
    labels = place_labels(*scene)

    assert len({label.face for label in labels}) == len(labels)


def test_labels_are_the_same_every_time(scene: Scene) -> None:
    assert place_labels(*scene) == place_labels(*scene)


def test_the_result_has_the_shape_and_type_of_the_image(scene: Scene) -> None:
    faces, width, height, scale = scene

    drawn = annotate(image(width, height), faces, scale)

    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8


def test_the_original_pixels_are_not_changed(scene: Scene) -> None:
    faces, width, height, scale = scene
    pixels = image(width, height)
    pixels.flags.writeable = False

    annotate(pixels, faces, scale)

    assert (pixels == 128).all()


def test_drawing_in_place_gives_the_same_pixels_as_on_a_copy(scene: Scene) -> None:
    faces, width, height, scale = scene
    pixels = image(width, height)

    expected = annotate(pixels, faces, scale)

    assert annotate(pixels, faces, scale, in_place=True) is pixels
    assert np.array_equal(pixels, expected)


def test_nothing_is_drawn_outside_the_frames_and_labels(scene: Scene) -> None:
    faces, width, height, scale = scene

    drawn = annotate(image(width, height), faces, scale)

    for found in faces:
        box = found.box
        outline = size_pen(box, round(width / scale), round(height / scale)).outline + 1
        left, top = max(int(box.x1 * scale) - outline, 0), max(int(box.y1 * scale) - outline, 0)
        drawn[top : round(box.y2 * scale) + outline + 1, left : round(box.x2 * scale) + outline + 1] = 128
    for label in place_labels(faces, width, height, scale):
        drawn[label.box.y1 : label.box.y2, label.box.x1 : label.box.x2] = 128
    assert (drawn == 128).all()


def test_a_view_that_is_not_contiguous_gives_the_same_pixels_as_its_copy() -> None:
    mirrored = image(200, 200)[:, ::-1, ::-1]

    drawn = annotate(mirrored, [face(60, 60, 140, 160)])

    assert (drawn == annotate(mirrored.copy(), [face(60, 60, 140, 160)])).all()


def test_without_faces_the_result_is_an_equal_copy() -> None:
    pixels = image(40, 30)

    drawn = annotate(pixels, [])

    assert (drawn == pixels).all()
    assert not np.shares_memory(drawn, pixels)


# Line


@pytest.mark.parametrize("size", [1, 50, 200, 1000, 6000])
def test_a_line_is_at_least_one_pixel_wide(size: int) -> None:
    assert size_pen(Box(0, 0, 1, 1), size, size).line >= 1


def test_the_line_follows_the_size_of_the_image() -> None:
    lines = [size_pen(Box(0, 0, size // 2, size // 2), size, size).line for size in (200, 1000, 2000, 6000)]

    assert lines == [1, 3, 6, 18]


@pytest.mark.parametrize(("size", "width"), [(8, 200), (8, 6000), (20, 6000), (60, 6000)])
def test_the_frame_of_a_small_face_does_not_hide_it(size: int, width: int) -> None:
    drawn = annotate(image(width, 200), [face(100, 100, 100 + size, 100 + size)])

    quarter = size // 4
    assert (drawn[100 + quarter : 100 + size - quarter, 100 + quarter : 100 + size - quarter] == 128).all()


@pytest.mark.parametrize(
    ("edge", "inward"), [((0, 150), (1, 150)), ((199, 150), (198, 150)), ((100, 0), (100, 1)), ((100, 199), (100, 198))]
)
def test_the_frame_of_a_face_that_fills_the_image_is_visible_on_every_side(
    edge: tuple[int, int], inward: tuple[int, int]
) -> None:
    drawn = annotate(image(200, 200), [face(0, 0, 200, 200)])

    assert (tuple(drawn[edge]), tuple(drawn[inward])) == (FILLS[1], INK)


# Scale


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25, 0.125])
def test_boxes_follow_the_size_at_which_the_photo_was_decoded(scale: float) -> None:
    size = round(1600 * scale)

    drawn = annotate(image(size, size), [face(400, 400, 1200, 1200)], scale)

    assert tuple(drawn[size // 2, size // 4]) == FILLS[1]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_box_below_one_pixel_is_still_drawn(size: int) -> None:
    drawn = annotate(image(100, 100), [face(400, 400, 400 + size, 400 + size)], 0.125)

    assert tuple(drawn[50, 50]) == FILLS[1]
