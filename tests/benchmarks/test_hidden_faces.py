"""A benchmark of anonymization counts the faces that masks hide, and the masks that hide none."""

import numpy as np

from benchmarks.support.hidden_faces import count_hidden, count_without_face, cover
from visage.images.boxes import Box

FACES = np.array([[10, 10, 30, 30], [60, 60, 80, 80]], np.float32)


def test_a_face_is_hidden_if_masks_cover_nearly_all_of_it() -> None:
    covered = cover([Box(10, 10, 30, 29), Box(60, 60, 80, 75)], (100, 100))

    assert count_hidden(covered, FACES) == 1


def test_several_masks_hide_a_face_together() -> None:
    covered = cover([Box(0, 0, 20, 40), Box(20, 0, 40, 40)], (100, 100))

    assert count_hidden(covered, FACES) == 1


def test_a_face_at_the_border_is_judged_by_its_part_in_the_photo() -> None:
    covered = cover([Box(90, 90, 100, 100)], (100, 100))

    assert count_hidden(covered, np.array([[90, 90, 120, 120]], np.float32)) == 1


def test_a_mask_that_touches_no_face_is_without_one() -> None:
    masks = [Box(0, 0, 15, 15), Box(30, 30, 60, 60), Box(85, 0, 95, 10)]

    assert count_without_face(masks, FACES) == 2


def test_without_faces_every_mask_is_without_one() -> None:
    assert count_without_face([Box(0, 0, 5, 5)], np.zeros((0, 4), np.float32)) == 1
