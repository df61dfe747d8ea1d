"""The search for faces: when a closer look pays, how tiles cover a photo, how boxes are merged."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_pack import MAGENTA, TINY_FACES, draw
from visage.faces.search import Detail, _spans, find_boxes, find_faces, merge
from visage.nets.detector import Detections, FaceDetector
from visage.packs.pack import FaceSpec, read_pack


def detections(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4])


def as_rows(found: Detections) -> list[list[float]]:
    return [
        [*map(float, box), round(float(confidence), 3)]
        for box, confidence in zip(found.boxes, found.confidences, strict=True)
    ]


class RecordingDetector(FaceDetector):
    """The tiny detector, with a note of every size that it is asked to look at."""

    def __init__(self, spec: FaceSpec) -> None:
        super().__init__(spec)
        self.sizes: list[tuple[int, int]] = []

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        self.sizes.append(size)
        return super().detect(pixels, size)


@pytest.fixture
def spec(tiny_pack: Path) -> FaceSpec:
    return read_pack(tiny_pack).face


@pytest.fixture
def detector(spec: FaceSpec) -> RecordingDetector:
    return RecordingDetector(spec)


def test_boxes_of_one_face_are_merged_into_the_most_confident() -> None:
    found = merge(detections((10, 10, 50, 50, 0.8)), detections((12, 10, 52, 50, 0.9), (11, 11, 49, 49, 0.7)))

    assert as_rows(found) == [[12, 10, 52, 50, 0.9]]


def test_faces_side_by_side_both_stay() -> None:
    found = merge(detections((10, 10, 50, 50, 0.8), (45, 10, 85, 50, 0.9)))

    assert len(found.boxes) == 2


def test_a_box_inside_a_face_does_not_outdo_it() -> None:
    found = merge(detections((0, 0, 100, 100, 0.9), (40, 60, 70, 90, 0.99)))

    assert as_rows(found) == [[0, 0, 100, 100, 0.99]]


def test_a_vague_box_around_sure_faces_goes() -> None:
    found = merge(detections((0, 0, 100, 100, 0.3), (5, 5, 30, 30, 0.9), (60, 5, 90, 30, 0.95)))

    assert as_rows(found) == [[60, 5, 90, 30, 0.95], [5, 5, 30, 30, 0.9]]


def test_nothing_merged_with_nothing_is_nothing() -> None:
    found = merge(detections(), detections())

    assert found.boxes.shape == (0, 4)


def test_equal_confidences_keep_one_order() -> None:
    rows = [(10.0, 10.0, 20.0, 20.0, 0.9), (50.0, 10.0, 60.0, 20.0, 0.9), (10.0, 50.0, 20.0, 60.0, 0.9)]

    assert as_rows(merge(detections(*rows))) == as_rows(merge(detections(*reversed(rows))))


@pytest.mark.parametrize("length", [1, 100, 101, 150, 180, 181, 999, 5000])
def test_spans_cover_everything_with_enough_overlap(length: int) -> None:
    spans = _spans(length, side=100, overlap=20)

    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(last - first <= 101 for first, last in spans)
    assert len({last - first for first, last in spans}) == 1
    assert all(before[1] - after[0] >= 19 for before, after in itertools.pairwise(spans))


def test_sure_faces_are_left_at_one_look(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(faces=TINY_FACES), Detail.AUTO)

    assert detector.sizes == [(96, 96)]


def test_a_photo_without_a_face_gets_a_second_closer_look(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(), Detail.AUTO)

    assert detector.sizes == [(96, 96), (192, 192)]


def test_a_face_that_is_too_small_for_the_first_look_is_found_by_the_second(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    # 48 pixels of 384 are 12 for the first look and 24, the size of a prior, for the second.
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    fast = find_faces(detector, spec, photo, Detail.FAST)
    auto = find_faces(detector, spec, photo, Detail.AUTO)

    assert (fast.confidences > 0.5).sum() == 0
    assert (auto.confidences > 0.5).sum() > 0


def test_a_quick_look_is_one_look(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(), Detail.FAST)

    assert detector.sizes == [(96, 96)]


def test_the_closest_look_goes_through_large_photos_in_tiles(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(1600, 800), Detail.HIGH)

    # The last look is at 768 x 384; a tile has at most 680 pixels, and two share the 32 of the largest face they add.
    assert detector.sizes == [(96, 48), (192, 96), (384, 192), (400, 384), (400, 384)]


def test_tiles_overlap_by_the_largest_face_that_a_closer_look_adds(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, replace(spec, smallest_face=20), draw(1600, 800), Detail.HIGH)

    assert detector.sizes[-2:] == [(424, 384), (424, 384)]


def test_a_closer_look_adds_only_faces_of_up_to_four_times_the_smallest(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    # 48 pixels of 384 are 24 for the second look, which alone sees them.
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    found = [
        (find_faces(detector, replace(spec, smallest_face=smallest), photo, Detail.HIGH).confidences > 0.5).any()
        for smallest in (5, 7)
    ]

    assert found == [False, True]


def test_among_all_boxes_are_faces_of_any_size_that_a_closer_look_sees(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    found = find_boxes(detector, replace(spec, smallest_face=5), photo, Detail.HIGH)

    assert (found.confidences > 0.5).any()


@pytest.mark.parametrize(
    ("side", "looks"),
    [
        (60, [96]),  # a second look could only be at 100
        (90, [96, 150]),
        (160, [96, 192]),  # a third only at 267
        (400, [96, 192, 384, 667]),
    ],
)
def test_a_photo_is_blown_up_by_five_thirds_at_most_and_only_for_a_look_that_is_worth_it(
    detector: RecordingDetector, spec: FaceSpec, side: int, looks: list[int]
) -> None:
    find_faces(detector, spec, draw(side, side), Detail.HIGH)

    assert detector.sizes == [(look, look) for look in looks]


@pytest.mark.parametrize("smallest", [24, 96, 500])
def test_a_net_that_finds_only_huge_faces_is_given_tiles_that_hold_them(
    detector: RecordingDetector, spec: FaceSpec, smallest: float
) -> None:
    find_faces(detector, replace(spec, smallest_face=smallest), draw(3000, 2000), Detail.HIGH)

    assert len(detector.sizes) >= 4
    assert max(max(size) for size in detector.sizes) <= max(680, 2 * 4 * smallest) + 1


@pytest.mark.parametrize(("side", "looks"), [(40, [96, 192]), (60, [96, 192]), (20, [96])])
def test_the_second_look_enlarges_a_small_photo_more_for_a_net_that_finds_only_large_faces(
    detector: RecordingDetector, spec: FaceSpec, side: int, looks: list[int]
) -> None:
    find_faces(detector, replace(spec, smallest_face=40), draw(side, side), Detail.HIGH)

    assert detector.sizes == [(look, look) for look in looks]


def test_the_aspect_of_a_photo_is_kept(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(300, 900), Detail.FAST)

    assert detector.sizes == [(32, 96)]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_extreme_shapes_are_searched_without_a_fault(
    detector: RecordingDetector, spec: FaceSpec, size: tuple[int, int]
) -> None:
    found = find_faces(detector, spec, draw(*size), Detail.HIGH)

    assert found.boxes.shape[1] == 4
