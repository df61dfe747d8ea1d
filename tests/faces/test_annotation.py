from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from visage.faces.annotation import FILLS, INK, Label, annotate, place_labels, size_pen
from visage.faces.face import Face
from visage.images.boxes import Box

GENDERS = ("Male", "Female")

Scene = tuple[list[Face], int, int, float]  # faces, width, height and scale of an image


def face(
    x1: int, y1: int, x2: int, y2: int, gender: str = "Female", age: str = "(25-32)", genders: tuple[str, ...] = GENDERS
) -> Face:
    rest = 0.1 / max(len(genders) - 1, 1)
    return Face(
        box=Box(x1, y1, x2, y2),
        confidence=0.99,
        gender_probabilities={name: 0.9 if name == gender else rest for name in genders},
        age_probabilities={age: 1.0},
        age_range=(25, 32),
        age_years=28.5,
    )


def image(width: int, height: int, shade: int = 128) -> NDArray[np.uint8]:
    return np.full((height, width, 3), shade, np.uint8)


def crowd(count: int, width: int, height: int, seed: int) -> list[Face]:
    random = np.random.default_rng(seed)
    corners = random.integers((0, 0), (width - 8, height - 8), (count, 2))
    sizes = random.integers(8, max(width // 5, 9), count)
    return [
        face(x, y, min(x + size, width), min(y + size, height), GENDERS[size % 2])
        for (x, y), size in zip(corners.tolist(), sizes.tolist(), strict=True)
    ]


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


def overlap(first: Box, second: Box) -> bool:
    return first.x1 < second.x2 and second.x1 < first.x2 and first.y1 < second.y2 and second.y1 < first.y2


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """WCAG 2.1's contrast ratio of two BGR colours, 1 to 21."""

    def luminance(colour: tuple[int, int, int]) -> float:
        srgb = np.array(colour) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.0722, 0.7152, 0.2126))

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def only_label(found: Face, width: int, height: int) -> Label:
    (label,) = place_labels([found], width, height)
    return label


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


# Text


@pytest.mark.parametrize(
    ("gender", "age", "genders", "text"),
    [
        ("Female", "(25-32)", GENDERS, "Female 25-32"),
        ("Male", "(60-100)", GENDERS, "Male 60-100"),
        ("Male", "60+", GENDERS, "Male 60+"),
        ("Nonbinary", "adult", ("Man", "Woman", "Nonbinary"), "Nonbinary adult"),
        ("Person", "", ("Person",), "Person"),
        ("", "(4-6)", ("", "Male"), "4-6"),
    ],
)
def test_a_label_is_the_gender_and_the_age_without_parentheses(
    gender: str, age: str, genders: tuple[str, ...], text: str
) -> None:
    assert only_label(face(300, 300, 500, 500, gender, age, genders), 1000, 1000).text == text


@pytest.mark.parametrize(("width", "text"), [(200, "Female 25-32"), (90, "F 25-32"), (60, "25-32"), (24, "F")], ids=str)
def test_a_narrow_image_gets_a_shorter_text(width: int, text: str) -> None:
    assert only_label(face(4, 60, 20, 80), width, 200).text == text


@pytest.mark.parametrize(
    ("gender", "text"),
    [("Man", "Ma 25-32"), ("Mixed", "Mi 25-32"), ("Woman", "W 25-32")],
    ids=["Man", "Mixed", "Woman"],
)
def test_a_shorter_text_still_distinguishes_the_genders(gender: str, text: str) -> None:
    assert only_label(face(4, 60, 20, 80, gender, genders=("Man", "Mixed", "Woman")), 80, 200).text == text


def test_a_gender_that_is_a_prefix_of_another_is_never_shortened() -> None:
    assert only_label(face(4, 60, 20, 80, "Ma", "(4-6)", ("Ma", "Male")), 66, 200).text == "Ma 4-6"


def test_a_crowd_without_room_for_words_gets_only_initials() -> None:
    grid = [face(x, y, x + 60, y + 60) for y in range(30, 400, 85) for x in range(20, 900, 75)]

    labels = place_labels(grid, 1000, 400)

    assert [label.text for label in labels] == ["F 25-32"] * len(grid)


def test_a_face_with_empty_labels_gets_no_text() -> None:
    assert place_labels([face(300, 300, 500, 500, "", "", ("", "Male"))], 1000, 1000) == ()


def test_a_face_without_room_for_a_letter_gets_a_box_only() -> None:
    drawn = annotate(image(12, 12), [face(1, 1, 11, 11)])

    assert place_labels([face(1, 1, 11, 11)], 12, 12) == ()
    assert tuple(drawn[1, 5]) == FILLS[1]


# Position


def test_a_label_is_above_its_face_aligned_with_the_frame() -> None:
    label = only_label(face(300, 300, 500, 500), 1000, 1000)

    assert (label.box.x1, label.box.y2) == (300 - label.pen.outline, 300)


def test_a_label_is_below_a_face_at_the_upper_edge() -> None:
    assert only_label(face(300, 2, 500, 200), 1000, 1000).box.y1 == 200


@pytest.mark.parametrize(
    ("top", "bottom", "expected"), [(0, 1000, 0), (12, 995, 0)], ids=["to the edges", "almost to the edges"]
)
def test_a_label_is_at_the_edge_of_an_image_that_the_face_fills(top: int, bottom: int, expected: int) -> None:
    assert only_label(face(300, top, 700, bottom), 1000, 1000).box.y1 == expected


def test_a_label_is_moved_to_stay_in_the_image() -> None:
    assert only_label(face(960, 300, 1000, 340), 1000, 1000).box.x2 == 1000


def test_a_label_avoids_another_face() -> None:
    large, small = face(300, 300, 500, 500), face(320, 250, 360, 296)

    labels = place_labels([large, small], 1000, 1000)

    assert [label.box for label in labels if overlap(label.box, large.box) or overlap(label.box, small.box)] == []


def test_a_label_hides_its_own_brow_before_a_little_of_another_face() -> None:
    small, above, below = face(300, 500, 410, 610), face(100, 90, 700, 499), face(100, 611, 700, 1000)

    label = place_labels([above, below, small], 1000, 1000)[-1]

    assert (label.face, label.text, label.box.y1) == (2, "Female 25-32", 500)


def test_a_label_hides_a_little_of_another_face_before_all_of_its_own() -> None:
    tiny, above, below = face(90, 90, 110, 110), face(0, 0, 200, 90), face(0, 110, 200, 200)

    label = place_labels([above, below, tiny], 200, 200)[-1]

    assert label.face == 2
    assert not overlap(label.box, tiny.box)


def test_a_label_does_not_touch_the_frame_of_an_adjacent_face() -> None:
    faces = [face(200, 200, 300, 320), face(320, 200, 400, 320)]

    label = place_labels(faces, 1000, 1000)[0]

    assert (label.face, label.box.x2) == (0, 300 + label.pen.outline)


def test_duplicates_are_labelled_above_and_below() -> None:
    labels = place_labels([face(300, 300, 500, 500)] * 2, 1000, 1000)

    assert [(label.box.y2, label.box.y1) for label in labels] == [
        (300, 300 - labels[0].box.height),
        (500 + labels[1].box.height, 500),
    ]


def test_the_largest_face_is_labelled_first_whatever_the_order() -> None:
    faces = crowd(30, 1000, 800, seed=6)
    unlike = list({found.box.area: found for found in faces}.values())

    forward = {unlike[label.face].box: label.box for label in place_labels(unlike, 1000, 800)}
    reverse = unlike[::-1]
    backward = {reverse[label.face].box: label.box for label in place_labels(reverse, 1000, 800)}

    assert forward == backward


# Legibility


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_capitals_are_at_least_8_pixels_high_on_200_pixels(shade: int) -> None:
    found = face(60, 60, 140, 160)
    box, margin = only_label(found, 200, 200).box, only_label(found, 200, 200).pen.outline

    drawn = annotate(image(200, 200, shade), [found])

    inner = drawn[box.y1 + margin : box.y2 - margin, box.x1 + margin : box.x2 - margin]
    ink_rows = np.flatnonzero((inner.max(axis=2) < 60).any(axis=1))
    assert ink_rows[-1] - ink_rows[0] + 1 >= 8


@pytest.mark.parametrize(("width", "height"), [(1000, 800), (2000, 3000), (6000, 4000)])
def test_the_text_of_a_large_face_grows_with_the_image(width: int, height: int) -> None:
    label = only_label(face(width // 4, height // 4, width // 2, height // 2), width, height)

    assert 0.015 <= label.pen.cap_height / max(width, height) <= 0.02


def test_the_smallest_text_in_24_megapixels_is_legible_at_the_size_of_a_screen() -> None:
    label = only_label(face(3000, 2000, 3040, 2050), 6000, 4000)

    assert label.pen.cap_height * 1500 / 6000 >= 7.5


@pytest.mark.parametrize("size", [150, 250, 400])
def test_the_label_of_a_face_in_a_crowd_is_not_much_wider_than_the_face(size: int) -> None:
    label = only_label(face(1000, 1000, 1000 + size, 1000 + size), 2000, 2000)

    assert label.box.width <= 1.65 * size


@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_text_has_the_contrast_that_wcag_requires(fill: tuple[int, int, int]) -> None:
    assert contrast(INK, fill) >= 4.5


def test_the_background_of_text_is_opaque() -> None:
    found = face(60, 60, 140, 160)
    box = only_label(found, 200, 200).box

    over_black, over_white = (annotate(image(200, 200, shade), [found]) for shade in (0, 255))

    label = np.s_[box.y1 : box.y2, box.x1 : box.x2]
    assert (over_black[label] == over_white[label]).all()
    assert tuple(over_black[label][2, 2]) == FILLS[1]


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("gender", range(len(FILLS)))
def test_a_frame_has_contrast_to_any_photo(gender: int, shade: int) -> None:
    names = tuple("ABCDE")
    drawn = annotate(image(400, 400, shade), [face(100, 100, 300, 300, names[gender], genders=names)])

    across_the_left_side = {(int(b), int(g), int(r)) for b, g, r in drawn[200, 90:110]}

    assert max(contrast(colour, (shade,) * 3) for colour in across_the_left_side) >= 3


def test_each_gender_has_its_own_colour() -> None:
    faces = [face(100, 100, 200, 200, "Male"), face(300, 100, 400, 200, "Female")]

    drawn = annotate(image(600, 400), faces)

    assert tuple(drawn[150, 100]) != tuple(drawn[150, 300])


def test_colours_repeat_for_a_pack_with_more_genders() -> None:
    names = tuple("ABCDEFGH")

    drawn = annotate(image(400, 400), [face(100, 100, 300, 300, "H", genders=names)])

    assert tuple(drawn[200, 100]) == FILLS[7 % len(FILLS)]


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
