"""Our detector finds no redacted face, and dlib's face matcher recognizes none.

Tests of the matcher need dlib (benchmarks/matcher-requirements.txt), which `make test-guard` installs.
"""

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.support.photos import portrait
from tests.support.paths import SHARED
from training.faces import FACE_BOX, read_faces
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.evaluation.evaluation import MATCH_IOU
from visage.faces.merging import merge
from visage.faces.search import Detail, find_candidates
from visage.images.boxes import Box, intersection_over_union
from visage.nets.detector import FaceDetector
from visage.packs.pack import find_pack

if TYPE_CHECKING:
    from benchmarks.recognition import Matcher

Pixels = NDArray[np.uint8]

MASKS = [Mask(method, shape) for method, shape in product(Method, Shape)]

HEIGHTS = (24, 48, 100, 300, 1000)

# The box of the face in an image of FairFace.
CHIP = Box(*map(round, FACE_BOX))

# Number of people of FairFace among whom the matcher searches for the right one. A random choice is right once on
# average, and more than five times with a probability of 0.05 %.
PEOPLE, MAX_RANDOM_HITS = 40, 5


def named(mask: Mask) -> str:
    return f"{mask.method.value} {mask.shape.value}"


class Finder:
    """The detector as anonymizing uses it."""

    def __init__(self) -> None:
        self._spec = find_pack("compact").face
        self._detector = FaceDetector(self._spec)

    def boxes(self, pixels: Pixels) -> list[Box]:
        """Return one box for each face that would be redacted, most confident first."""
        found = merge(find_candidates(self._detector, self._spec, pixels, Detail.HIGH))
        confident = found.boxes[found.confidences >= self._spec.redaction_confidence]
        return [Box(*map(int, np.round(box))) for box in confident]

    def finds(self, pixels: Pixels, face: Box) -> bool:
        """Whether one of the boxes is at the place of `face`; a box around hair and ears, of the whole head, is not."""
        return bool((overlaps(self.boxes(pixels), face) > MATCH_IOU).any())


def overlaps(boxes: list[Box], face: Box) -> NDArray[np.float32]:
    corners = np.array([box.corners for box in [face, *boxes]], np.float32)
    return intersection_over_union(corners[:1], corners[1:])


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder()


@pytest.fixture(scope="module")
def matcher() -> "Matcher":
    pytest.importorskip("dlib", reason="needs dlib: make test-guard installs it")
    from benchmarks.recognition import Matcher  # noqa: PLC0415

    return Matcher()


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    """Images of the faces of `PEOPLE` people, chosen at random."""
    folder = SHARED / "data" / "fairface"
    if not folder.is_dir():
        pytest.skip("needs faces of many people: there is no ../shared/data/fairface beside this repo")
    return list(read_faces(folder, "val", tmp_path_factory.mktemp("faces")).chips[:PEOPLE])


def astronaut_of(height: int, finder: Finder) -> tuple[Pixels, Box]:
    """Return the portrait, resized so that the face is `height` pixels high, and the box of the face."""
    small = portrait()[:250, 40:440]
    (face,) = finder.boxes(small)
    scale = height / face.height
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(small, None, fx=scale, fy=scale, interpolation=interpolation).astype(np.uint8, copy=False)
    return pixels, Box(*(round(edge * scale) for edge in face.corners))


def faces_of(photos: Path, name: str, finder: Finder) -> tuple[Pixels, list[Box]]:
    """Return a photo of politicians, and the boxes of its one or two most confident faces from left to right."""
    pixels = cv2.imread(str(photos / f"{name}.jpg"))
    assert pixels is not None
    scale = 800 / max(pixels.shape)
    photo = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return photo, sorted(finder.boxes(photo)[: 1 + ("_" in name)], key=lambda box: box.x1)


@pytest.mark.parametrize("height", HEIGHTS)
def test_the_detector_finds_the_original_face_of_any_size(finder: Finder, height: int) -> None:
    assert finder.finds(*astronaut_of(height, finder))


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("height", HEIGHTS)
def test_the_detector_finds_no_redacted_face_of_any_size(finder: Finder, mask: Mask, height: int) -> None:
    pixels, face = astronaut_of(height, finder)

    redacted = redact(pixels, [face], mask)

    assert not finder.finds(redacted, face)


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("name", ["obama", "biden", "obama_and_biden", "two_people"])
def test_the_detector_finds_no_redacted_face_in_a_photo(finder: Finder, photos: Path, name: str, mask: Mask) -> None:
    pixels, faces = faces_of(photos, name, finder)
    assert len(faces) == 1 + ("_" in name)

    redacted = redact(pixels, faces, mask)

    assert not any(finder.finds(redacted, face) for face in faces)


@pytest.mark.parametrize("height", HEIGHTS)
def test_the_matcher_recognizes_the_original_face_of_any_size(finder: Finder, matcher: "Matcher", height: int) -> None:
    original, place = astronaut_of(100, finder)
    known = matcher.describe(original, matcher.align(original, place))

    pixels, face = astronaut_of(height, finder)

    assert np.linalg.norm(matcher.describe(pixels, matcher.align(pixels, face)) - known) < matcher.same_person


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("height", HEIGHTS)
def test_the_matcher_recognizes_no_redacted_face_of_any_size(
    finder: Finder, matcher: "Matcher", mask: Mask, height: int
) -> None:
    """The matcher gets the landmarks of the original face."""
    pixels, face = astronaut_of(height, finder)
    aligned = matcher.align(pixels, face)

    redacted = redact(pixels, [face], mask)

    assert np.linalg.norm(matcher.describe(redacted, aligned) - matcher.describe(pixels, aligned)) > matcher.same_person


@pytest.mark.parametrize("person", [0, 1], ids=["biden", "obama"])
def test_the_matcher_recognizes_a_person_from_another_photo(
    finder: Finder, matcher: "Matcher", photos: Path, person: int
) -> None:
    assert distances(finder, matcher, photos, person, None).argmin() == person
    assert distances(finder, matcher, photos, person, None).min() < matcher.same_person


@pytest.mark.parametrize("mask", MASKS, ids=named)
@pytest.mark.parametrize("person", [0, 1], ids=["biden", "obama"])
def test_the_matcher_recognizes_no_redacted_person_from_another_photo(
    finder: Finder, matcher: "Matcher", photos: Path, person: int, mask: Mask
) -> None:
    assert distances(finder, matcher, photos, person, mask)[person] > matcher.same_person


def distances(finder: Finder, matcher: "Matcher", photos: Path, person: int, mask: Mask | None) -> NDArray[np.float64]:
    """Return how far the portraits of Biden and Obama are from one of them in a photo of both, redacted by `mask`."""
    both, faces = faces_of(photos, "obama_and_biden", finder)
    shown = both if mask is None else redact(both, faces, mask)
    described = matcher.describe(shown, matcher.align(both, faces[person]))
    portraits = [faces_of(photos, name, finder) for name in ("biden", "obama")]
    known = [matcher.describe(pixels, matcher.align(pixels, face)) for pixels, (face,) in portraits]
    return np.asarray(np.linalg.norm(np.array(known) - described, axis=1))


@pytest.fixture(scope="module")
def known(matcher: "Matcher", chips: list[Pixels]) -> NDArray[np.float64]:
    return np.array([matcher.describe(chip, matcher.align(chip, CHIP)) for chip in chips])


@pytest.mark.parametrize("mask", MASKS, ids=named)
def test_the_matcher_finds_redacted_people_no_more_often_than_a_random_choice(
    matcher: "Matcher", chips: list[Pixels], known: NDArray[np.float64], mask: Mask
) -> None:
    """The photos that the matcher compares are the originals of the redacted ones."""
    descriptors = [matcher.describe(redact(chip, [CHIP], mask), matcher.align(chip, CHIP)) for chip in chips]

    nearest = np.linalg.norm(np.array(descriptors)[:, None] - known, axis=2).argmin(axis=1)
    assert (nearest == np.arange(PEOPLE)).sum() <= MAX_RANDOM_HITS
