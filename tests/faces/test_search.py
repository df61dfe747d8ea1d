"""Multi-scale search: which detection passes run, and how tiles cover a photo."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny_pack import MAGENTA, TINY_FACES, draw
from visage.faces.search import Detail, find_candidates, find_faces
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import FaceSpec, read_pack


class RecordingDetector(FaceDetector):
    """The tiny detector; records the size of every detection pass."""

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


def test_a_photo_of_confident_faces_gets_one_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(faces=TINY_FACES), Detail.AUTO)

    assert detector.sizes == [(96, 96)]


def test_a_photo_without_a_face_gets_a_second_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(), Detail.AUTO)

    assert detector.sizes == [(96, 96), (192, 192)]


def test_the_second_pass_finds_a_face_too_small_for_the_first(detector: RecordingDetector, spec: FaceSpec) -> None:
    # 48 pixels of 384 are 12 net pixels in the first pass. In the second they are 24, the size of a prior.
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    fast = find_faces(detector, spec, photo, Detail.FAST)
    auto = find_faces(detector, spec, photo, Detail.AUTO)

    assert (fast.confidences > 0.5).sum() == 0
    assert (auto.confidences > 0.5).sum() > 0


def test_fast_runs_one_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(), Detail.FAST)

    assert detector.sizes == [(96, 96)]


def test_the_finest_pass_cuts_large_photos_into_tiles(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(1600, 800), Detail.HIGH)

    # The last pass is at 768 x 384. A tile has at most 680 net pixels; two overlap by 32, the largest face they add.
    assert detector.sizes == [(96, 48), (192, 96), (384, 192), (400, 384), (400, 384)]


def test_tiles_overlap_by_the_largest_face_that_a_fine_pass_adds(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, replace(spec, smallest_face=20), draw(1600, 800), Detail.HIGH)

    assert detector.sizes[-2:] == [(424, 384), (424, 384)]


def test_a_fine_pass_adds_only_faces_up_to_four_times_the_smallest(detector: RecordingDetector, spec: FaceSpec) -> None:
    # 48 pixels of 384 are 24 net pixels in the second pass, the only one that finds them.
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    found = [
        (find_faces(detector, replace(spec, smallest_face=smallest), photo, Detail.HIGH).confidences > 0.5).any()
        for smallest in (5, 7)
    ]

    assert found == [False, True]


def test_candidates_include_faces_of_any_size_from_a_fine_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    found = find_candidates(detector, replace(spec, smallest_face=5), photo, Detail.HIGH)

    assert (found.confidences > 0.5).any()


@pytest.mark.parametrize(
    ("side", "passes"),
    [
        (60, [96]),  # a second pass could only be at 100
        (90, [96, 150]),
        (160, [96, 192]),  # a third pass could only be at 267
        (400, [96, 192, 384, 667]),
    ],
)
def test_a_photo_is_enlarged_by_five_thirds_at_most_and_only_for_a_pass_at_a_much_larger_scale(
    detector: RecordingDetector, spec: FaceSpec, side: int, passes: list[int]
) -> None:
    find_faces(detector, spec, draw(side, side), Detail.HIGH)

    assert detector.sizes == [(side, side) for side in passes]


@pytest.mark.parametrize("smallest", [24, 96, 500])
def test_tiles_are_large_enough_for_a_net_that_finds_only_large_faces(
    detector: RecordingDetector, spec: FaceSpec, smallest: float
) -> None:
    find_faces(detector, replace(spec, smallest_face=smallest), draw(3000, 2000), Detail.HIGH)

    assert len(detector.sizes) >= 4
    assert max(max(size) for size in detector.sizes) <= max(680, 2 * 4 * smallest) + 1


@pytest.mark.parametrize(("side", "passes"), [(40, [96, 192]), (60, [96, 192]), (20, [96])])
def test_the_second_pass_enlarges_a_small_photo_more_for_a_net_that_finds_only_large_faces(
    detector: RecordingDetector, spec: FaceSpec, side: int, passes: list[int]
) -> None:
    find_faces(detector, replace(spec, smallest_face=40), draw(side, side), Detail.HIGH)

    assert detector.sizes == [(side, side) for side in passes]


def test_the_aspect_ratio_of_a_photo_is_kept(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(300, 900), Detail.FAST)

    assert detector.sizes == [(32, 96)]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_photos_of_extreme_shapes_are_searched_without_an_error(
    detector: RecordingDetector, spec: FaceSpec, size: tuple[int, int]
) -> None:
    found = find_faces(detector, spec, draw(*size), Detail.HIGH)

    assert found.boxes.shape[1] == 4
