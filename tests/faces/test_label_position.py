"""Every label is beside its own face, and hides as little as possible of any face."""

import pytest

from tests.faces.support import crowd, face, only_label, overlap
from visage.faces.annotation import place_labels


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
