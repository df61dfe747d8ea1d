"""The text of a label is as long as the image has room for, and tells the genders apart."""

import pytest

from tests.faces.support import GENDERS, face, image, only_label
from visage.faces.annotation import FILLS, annotate, place_labels


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
