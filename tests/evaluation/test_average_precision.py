"""Average precision: small examples whose figures can be counted by hand."""

import numpy as np
import pytest

from visage.evaluation.average_precision import ScoredPhoto, precision_recall

FACE, OTHER, NOWHERE = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)


def photo(
    *detections: tuple[float, tuple[int, int, int, int]],
    faces: tuple[tuple[int, int, int, int], ...] = (FACE, OTHER),
    ignored: int = 0,
) -> ScoredPhoto:
    """A photo with `faces`, of which the last `ignored` are not counted."""
    return ScoredPhoto(
        np.array([box for _, box in detections], np.float32).reshape(-1, 4),
        np.array([confidence for confidence, _ in detections], np.float32),
        np.array(faces, np.float32).reshape(-1, 4),
        np.arange(len(faces)) < len(faces) - ignored,
    )


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        (photo((0.9, FACE), (0.8, OTHER)), 1.0),
        (photo((0.9, FACE)), 0.5),
        (photo(), 0.0),
        (photo((0.9, NOWHERE)), 0.0),
        # Half of the faces at precision 1, the other half at 2 of 3.
        (photo((0.9, FACE), (0.8, NOWHERE), (0.7, OTHER)), 0.5 + 0.5 * 2 / 3),
        # The false positive comes first: precision 1/2 and 2/3, and the better one counts for both.
        (photo((0.9, NOWHERE), (0.8, FACE), (0.7, OTHER)), 2 / 3),
    ],
)
def test_average_precision_is_the_area_under_precision_over_recall(scored: ScoredPhoto, expected: float) -> None:
    assert precision_recall([scored]).average_precision == pytest.approx(expected)


def test_a_second_box_of_a_face_is_a_false_positive() -> None:
    curve = precision_recall([photo((0.9, FACE), (0.8, (1, 0, 11, 10)))])

    assert curve.found.tolist() == [1, 1]
    assert curve.false_positives.tolist() == [0, 1]


def test_boxes_of_faces_that_are_not_counted_are_neither_right_nor_wrong() -> None:
    curve = precision_recall([photo((0.9, OTHER), (0.85, OTHER), (0.8, FACE), ignored=1)])

    assert (curve.faces, curve.average_precision) == (1, 1.0)
    assert curve.false_positives.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("box", "right"), [((0, 0, 10, 20), True), ((0, 0, 10, 21), False)])
def test_a_box_is_a_faces_from_half_of_their_union_on(box: tuple[int, int, int, int], right: bool) -> None:
    curve = precision_recall([photo((0.9, box), faces=(FACE,))])

    assert bool(curve.found[-1]) is right


def test_detections_of_all_photos_are_ranked_together() -> None:
    sure_and_wrong, unsure_and_right = photo((0.9, NOWHERE), faces=()), photo((0.2, FACE), faces=(FACE,))

    assert precision_recall([unsure_and_right, sure_and_wrong]).average_precision == pytest.approx(0.5)


def test_recall_is_what_is_found_before_there_are_more_false_positives() -> None:
    curve = precision_recall([photo((0.9, FACE), (0.8, NOWHERE), (0.7, OTHER), (0.6, NOWHERE))])

    assert [curve.recall(number) for number in (0, 1, 2)] == [0.5, 1.0, 1.0]


def test_without_faces_or_photos_every_figure_is_zero() -> None:
    for curve in (precision_recall([]), precision_recall([photo((0.9, FACE), faces=())])):
        assert (curve.average_precision, curve.recall(10)) == (0.0, 0.0)
