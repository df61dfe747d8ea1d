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

# The last passes over a square photo without a face.
LAST_LOOK = [(38, 38), (29, 29)]


class RecordingDetector(FaceDetector):
    """The tiny detector; records the size of every detection pass. Its input is 96 x 96."""

    def __init__(self, spec: FaceSpec) -> None:
        super().__init__(spec)
        self.sizes: list[tuple[int, int]] = []

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        self.sizes.append(size)
        return super().detect(pixels, size)


class UprightDetector(RecordingDetector):
    """The tiny detector; sees only photos with white pixels at their upper left."""

    MARK = 255

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        found = super().detect(pixels, size)
        is_upright = pixels[: max(1, len(pixels) // 24), : max(1, pixels.shape[1] // 24)].mean() > 200
        return found.select(np.full(len(found.boxes), is_upright))


class BlindToLargeFaces(RecordingDetector):
    """The tiny detector; sees only photos of at most 40 net pixels."""

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        found = super().detect(pixels, size)
        return found.select(np.full(len(found.boxes), max(size) <= 40))


@pytest.fixture
def spec(tiny_pack: Path) -> FaceSpec:
    return read_pack(tiny_pack).face


@pytest.fixture
def detector(spec: FaceSpec) -> RecordingDetector:
    return RecordingDetector(spec)


def test_fast_runs_the_base_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(faces=TINY_FACES), Detail.FAST)

    assert detector.sizes == [(96, 96)]


@pytest.mark.parametrize("detail", Detail)
def test_every_search_ends_with_a_look_for_faces_that_fill_the_photo_where_none_is_found(
    detector: RecordingDetector, spec: FaceSpec, detail: Detail
) -> None:
    find_faces(detector, spec, draw(), detail)

    assert detector.sizes[-2:] == LAST_LOOK


def test_fast_finds_a_face_that_fills_the_photo(spec: FaceSpec) -> None:
    photo = draw(faces={(0, 0, 384, 384): MAGENTA})
    detector = BlindToLargeFaces(replace(spec, smallest_face=8))

    found = find_faces(detector, replace(spec, smallest_face=8), photo, Detail.FAST)

    assert detector.sizes == [(96, 96), (38, 38)]
    assert (found.confidences > 0.5).sum() > 0


def test_the_look_for_faces_that_fill_the_photo_contributes_large_ones_only(spec: FaceSpec) -> None:
    photo = draw(faces={(0, 0, 384, 384): MAGENTA})
    detector = BlindToLargeFaces(replace(spec, smallest_face=32))

    found = find_faces(detector, replace(spec, smallest_face=32), photo, Detail.FAST)

    assert not (found.confidences > 0.5).any()


def test_auto_looks_once_at_half_the_base_scale_where_all_faces_are_large(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    photo = draw(faces={(96, 96, 288, 288): MAGENTA})

    found = find_faces(detector, replace(spec, smallest_face=8, min_confidence=0.5), photo, Detail.AUTO)

    assert detector.sizes == [(48, 48)]
    assert (found.confidences > 0.5).sum() == 1


def test_auto_runs_the_base_pass_where_a_face_is_neither_large_nor_small(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    photo = draw(faces={(96, 96, 288, 288): MAGENTA})

    find_faces(detector, replace(spec, smallest_face=13), photo, Detail.AUTO)

    # In the coarse pass the face has 24 net pixels.
    assert detector.sizes == [(48, 48), (96, 96)]


def test_auto_looks_more_closely_where_a_face_is_small_at_half_the_base_scale(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    photo = draw(faces={(96, 96, 288, 288): MAGENTA})

    find_faces(detector, replace(spec, smallest_face=33), photo, Detail.AUTO)

    # In the coarse pass the face has 24 net pixels.
    assert detector.sizes[:2] == [(48, 48), (144, 144)]


def test_auto_looks_for_smaller_faces_where_none_is_found(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(), Detail.AUTO)

    assert detector.sizes == [(48, 48), (96, 96), (192, 192), *LAST_LOOK]


@pytest.mark.parametrize(("count", "passes"), [(4, 2), (5, 4)])
def test_auto_looks_for_smaller_faces_beside_five_small_ones(
    detector: RecordingDetector, spec: FaceSpec, count: int, passes: int
) -> None:
    # 64 pixels of 384 are 21 net pixels in the first pass, which makes a box of 24.
    corners = [(64, 64), (192, 64), (64, 192), (192, 192), (320, 64)][:count]
    photo = draw(faces={(x, y, x + 64, y + 64): MAGENTA for x, y in corners})

    find_faces(detector, replace(spec, smallest_face=17), photo, Detail.AUTO)

    # All finer passes run, because each finds boxes of 24 net pixels in the squares.
    assert len(detector.sizes) == passes


def test_a_finer_pass_finds_a_face_too_small_for_the_base_pass(detector: RecordingDetector, spec: FaceSpec) -> None:
    # 48 pixels of 384 are 12 net pixels in the base pass. In a finer one they are 31, and a prior has 24.
    photo = draw(faces={(104, 104, 152, 152): MAGENTA})

    fast = find_faces(detector, spec, photo, Detail.FAST)
    auto = find_faces(detector, spec, photo, Detail.AUTO)

    assert (fast.confidences > 0.5).sum() == 0
    assert (auto.confidences > 0.5).sum() > 0


def test_high_turns_the_photo(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, spec, draw(1600, 800), Detail.HIGH)

    assert detector.sizes[:3] == [(58, 29), (115, 58), (182, 91)]
    assert detector.sizes[-5:-2] == [(48, 96), (96, 48), (48, 96)]


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("face", [(96, 96, 192, 192), (104, 104, 152, 152)], ids=["large", "small"])
def test_high_finds_the_faces_of_a_turned_photo(spec: FaceSpec, face: tuple[int, int, int, int], turns: int) -> None:
    photo = draw(faces={face: MAGENTA, (224, 224, 320, 320): MAGENTA})
    photo[:24, :24] = UprightDetector.MARK

    upright = find_faces(UprightDetector(spec), spec, photo, Detail.HIGH)
    turned = find_faces(UprightDetector(spec), spec, np.rot90(photo, turns).copy(), Detail.HIGH)

    assert (upright.confidences > 0.5).sum() >= 2
    # The photo turned back has the faces of the upright one.
    found = turned.turned_back(turns, 384, 384)
    confident = found.boxes[found.confidences > 0.5]
    for x1, y1, x2, y2 in upright.boxes[upright.confidences > 0.5]:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        assert ((confident[:, :2] < (x, y)).all(axis=1) & (confident[:, 2:] > (x, y)).all(axis=1)).any()


def test_a_finer_pass_adds_only_faces_up_to_four_times_the_smallest(
    detector: RecordingDetector, spec: FaceSpec
) -> None:
    # 24 pixels of 768 are 23 net pixels in the last finer pass, the only one that finds them.
    photo = draw(768, 768, faces={(104, 104, 128, 128): MAGENTA})

    found = [
        (find_faces(detector, replace(spec, smallest_face=smallest), photo, Detail.HIGH).confidences > 0.5).any()
        for smallest in (5, 7)
    ]

    assert found == [False, True]


def test_the_coarse_pass_adds_only_faces_from_twice_the_smallest(detector: RecordingDetector, spec: FaceSpec) -> None:
    # 192 pixels of 384 are 24 net pixels in the coarse pass, the only one that finds them whole.
    photo = draw(faces={(96, 96, 288, 288): MAGENTA})

    found = [
        find_faces(detector, replace(spec, smallest_face=smallest), photo, Detail.AUTO).boxes for smallest in (10, 14)
    ]

    widest = [(boxes[:, 2] - boxes[:, 0]).max() for boxes in found]
    assert widest[0] > 150 > widest[1]


def test_candidates_are_the_boxes_of_all_passes(detector: RecordingDetector, spec: FaceSpec) -> None:
    photo = draw(faces=TINY_FACES)

    candidates = find_candidates(detector, spec, photo, Detail.HIGH)

    faces = find_faces(detector, spec, photo, Detail.HIGH)
    assert (candidates.confidences > 0.5).sum() > (faces.confidences > 0.5).sum() > 0


@pytest.mark.parametrize(
    ("side", "passes"),
    [
        (30, [36, 60]),
        (50, [58, 100]),
        (60, [58, 115]),  # the next pass could only be at 120
        (90, [58, 115, 180]),
        (200, [58, 115, 182]),  # a finer pass could only be at 200
        (400, [58, 115, 182, 365]),
    ],
)
def test_passes_enlarge_a_photo_twice_at_most_and_finer_ones_not_at_all(
    detector: RecordingDetector, spec: FaceSpec, side: int, passes: list[int]
) -> None:
    find_faces(detector, spec, draw(side, side), Detail.HIGH)

    assert detector.sizes[: len(passes)] == [(side, side) for side in passes]
    assert len(detector.sizes) == len(passes) + 3 + len(LAST_LOOK)


def test_fine_passes_cut_large_photos_into_overlapping_tiles(detector: RecordingDetector, spec: FaceSpec) -> None:
    find_faces(detector, replace(spec, input=(384, 384), smallest_face=8), draw(1600, 800), Detail.HIGH)

    # The finer pass is at 1459 x 730. A tile has at most 680 net pixels; two overlap by 32, a large face.
    assert detector.sizes[3:9] == [(508, 381)] * 6


@pytest.mark.parametrize("smallest", [24, 96, 500])
def test_tiles_are_large_enough_for_a_net_that_finds_only_large_faces(
    detector: RecordingDetector, spec: FaceSpec, smallest: float
) -> None:
    find_faces(detector, replace(spec, smallest_face=smallest), draw(3000, 2000), Detail.HIGH)

    assert len(detector.sizes) >= 4
    assert max(max(size) for size in detector.sizes) <= max(680, 2 * 4 * smallest) + 1


def test_neither_side_nor_area_of_the_base_pass_exceeds_the_input(detector: RecordingDetector, spec: FaceSpec) -> None:
    wide = replace(spec, input=(96, 64))
    for width, height in [(300, 200), (300, 300), (300, 900)]:
        find_faces(detector, wide, draw(width, height), Detail.FAST)

    assert detector.sizes[::3] == [(96, 64), (78, 78), (32, 96)]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_photos_of_extreme_shapes_are_searched_without_an_error(
    detector: RecordingDetector, spec: FaceSpec, size: tuple[int, int]
) -> None:
    found = find_faces(detector, spec, draw(*size), Detail.HIGH)

    assert found.boxes.shape[1] == 4


class CrowdDetector(RecordingDetector):
    """Finds 3,000 uncertain boxes of 8 x 8 pixels in every pass."""

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        corners = np.random.default_rng(len(self.sizes)).uniform(
            0, (pixels.shape[1] - 8, pixels.shape[0] - 8), (3000, 2)
        )
        self.sizes.append(size)
        boxes = np.hstack([corners, corners + 8]).astype(np.float32)
        return Detections(boxes, np.full(3000, 0.3, np.float32))


def test_the_boxes_of_a_crowd_are_bounded(spec: FaceSpec) -> None:
    detector = CrowdDetector(spec)

    candidates = find_candidates(detector, spec, draw(800, 800), Detail.HIGH)

    assert len(detector.sizes) >= 6
    assert len(candidates.boxes) == 4000


def test_only_the_turned_photo_with_most_faces_is_searched_thoroughly(spec: FaceSpec) -> None:
    class TurnedFaces(RecordingDetector):
        """Finds more faces the more often the photo was turned: its mark is at the upper left of the upright one."""

        def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
            self.sizes.append(size)
            corners = [pixels[0, 0], pixels[-1, 0], pixels[-1, -1], pixels[0, -1]]
            turns = int(np.argmax([corner.sum() for corner in corners]))
            starts = np.arange(turns, dtype=np.float32)[:, None] * 20
            boxes = np.hstack([starts, starts, starts + 16, starts + 16]).astype(np.float32)
            return Detections(boxes, np.full(turns, 0.9, np.float32))

    photo = draw(200, 200)
    photo[:40, :40] = 255
    detector = TurnedFaces(spec)

    find_candidates(detector, spec, photo, Detail.HIGH)

    whole, thorough = [(96, 96)], [(58, 58), (115, 115), (182, 182)]
    assert detector.sizes == [*thorough, *whole * 3, *thorough]
