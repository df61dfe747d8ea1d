"""How good a pack is: its answers to photos whose faces are known, and the time that they take."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import LabelsError, RequestError
from visage.face_search import Detail, find_faces
from visage.images import decode, inspect
from visage.labels import LabelledFace, LabelledPhoto
from visage.nets import Classifier, FaceDetector, classify_by_all
from visage.packs import Pack

# A box is a face's if they share this part of their union; a box is false if it shares less than the second part with
# every face, certain or not.
FOUND, FALSE = 0.4, 0.3

# A face of less than this part of the photo's longer side is a small one.
SMALL = 0.1

_MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Answer:
    """What a pack said of one labelled face; None where the face was not found or the label is unknown."""

    face: LabelledFace
    small: bool
    found: bool
    gender_right: bool | None = None
    groups_off: int | None = None
    years_off: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """The answers of one pack to a folder.

    `given` holds the answers to the labelled boxes, `searched` those to the boxes that the pack's own detector found;
    `false_boxes` is how many of those are no face. Times are seconds: of every photo's search, and of gender and age
    together for every batch of faces, as (faces, seconds).
    """

    pack: Pack
    photos: int
    given: tuple[Answer, ...]
    searched: tuple[Answer, ...]
    false_boxes: int
    search_seconds: tuple[float, ...]
    attribute_seconds: tuple[tuple[int, float], ...]


class Evaluator:
    """One pack's nets and what they answered so far."""

    def __init__(self, pack: Pack, detail: Detail, least_height: float = 0) -> None:
        """Load the nets; faces of less than `least_height` pixels count as those that need not be found.

        Raises:
            PackError: the pack cannot be used.
        """
        self._pack = pack
        self._detail = detail
        self._least_height = least_height
        self._detector = FaceDetector(pack.face)
        self._gender = Classifier(pack.gender)
        self._age = Classifier(pack.age)
        self._photos = self._false = 0
        self._given: list[Answer] = []
        self._searched: list[Answer] = []
        self._search_seconds: list[float] = []
        self._attribute_seconds: list[tuple[int, float]] = []

    @property
    def result(self) -> Evaluation:
        return Evaluation(
            self._pack,
            self._photos,
            tuple(self._given),
            tuple(self._searched),
            self._false,
            tuple(self._search_seconds),
            tuple(self._attribute_seconds),
        )

    def look_at(self, pixels: NDArray[np.uint8], faces: Sequence[LabelledFace]) -> None:
        """Judge the pack by one photo, (h, w, 3) uint8 BGR."""
        self._photos += 1
        faces = [replace(face, perhaps=face.perhaps or _height(face) < self._least_height) for face in faces]
        certain = [face for face in faces if not face.perhaps]
        longer = max(pixels.shape[:2])
        if certain:
            boxes = np.stack([face.box for face in certain])
            answers = self._classify(pixels, boxes)
            self._given += [_judge(face, longer, answer) for face, answer in zip(certain, answers, strict=True)]
        started = time.perf_counter()
        found = find_faces(self._detector, self._pack.face, pixels, self._detail)
        self._search_seconds.append(time.perf_counter() - started)
        sure = found.boxes[found.confidences >= self._pack.face.min_confidence]
        shares = overlaps(sure, np.array([face.box for face in faces], np.float32).reshape(-1, 4))
        self._false += int((shares.max(axis=1, initial=0) < FALSE).sum())
        matches = dict(_matches(shares, [not face.perhaps for face in faces]))
        answers = self._classify(pixels, sure[list(matches.values())]) if matches else []
        by_face = dict(zip(matches, answers, strict=True))
        self._searched += [
            _judge(face, longer, by_face.get(index)) for index, face in enumerate(faces) if not face.perhaps
        ]

    def _classify(self, pixels: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list["_Attributes"]:
        started = time.perf_counter()
        genders, ages = classify_by_all((self._gender, self._age), pixels, boxes)
        self._attribute_seconds.append((len(boxes), time.perf_counter() - started))
        labels, ranges = self._gender.labels, self._pack.age.ranges
        return [
            _Attributes(
                labels[int(gender.argmax())], int(age.argmax()), float(age @ _middles(ranges) / age.sum()), ranges
            )
            for gender, age in zip(genders, ages, strict=True)
        ]


@dataclass(frozen=True)
class _Attributes:
    gender: str
    group: int
    years: float
    ranges: Sequence[tuple[int, int]]


def evaluate(
    packs: Sequence[Pack],
    photos: Sequence[LabelledPhoto],
    detail: Detail,
    least_height: float = 0,
    progress: Callable[[Sequence[LabelledPhoto]], Iterable[LabelledPhoto]] = iter,
) -> list[Evaluation]:
    """Every pack's answers to all `photos`, one photo after the other, so that all packs meet the same machine.

    Raises:
        PackError: a pack cannot be used.
        LabelsError: a photo is missing or cannot be decoded.
    """
    cv2.setNumThreads(1)
    evaluators = [Evaluator(pack, detail, least_height) for pack in packs]
    for photo in progress(photos):
        pixels = _read(photo.path)
        for evaluator in evaluators:
            evaluator.look_at(pixels, photo.faces)
    return [evaluator.result for evaluator in evaluators]


def overlaps(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m): the part of their union that each of `boxes` (n, 4) shares with each of `others` (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others)]
    share: NDArray[np.float32] = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, np.float32(1e-6))
    return share


def _matches(shares: NDArray[np.float32], wanted: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Pairs of a face and the box that found it, the closest pairs first, each face and each box once."""
    left = shares.copy()
    left[:, [index for index, each in enumerate(wanted) if not each]] = 0
    while left.size and left.max() > FOUND:
        box, face = divmod(int(left.argmax()), left.shape[1])
        left[box], left[:, face] = 0, 0
        yield face, box


def _judge(face: LabelledFace, longer_side: int, answer: _Attributes | None) -> Answer:
    small = _height(face) < SMALL * longer_side
    if answer is None:
        return Answer(face, small, found=False)
    right = None if face.gender is None else face.gender.casefold() == answer.gender.casefold()
    if face.age is None:
        return Answer(face, small, found=True, gender_right=right)
    true_years = sum(face.age) / 2
    off = abs(_group_of(true_years, answer.ranges) - answer.group)
    years_off = abs(answer.years - true_years)
    return Answer(face, small, found=True, gender_right=right, groups_off=off, years_off=years_off)


def _group_of(years: float, ranges: Sequence[tuple[int, int]]) -> int:
    """The index of the group that holds `years`, or of the nearest one: packs divide the ages differently."""
    away = [max(first - years, years - last, 0) for first, last in ranges]
    return int(np.argmin(away))


def _middles(ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    return np.array([(first + last) / 2 for first, last in ranges])


def _height(face: LabelledFace) -> float:
    return float(face.box[3] - face.box[1])


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        data = path.read_bytes()
        return decode(data, inspect(data, _MAX_PIXELS)).pixels
    except OSError as error:
        raise LabelsError(f"{path} cannot be read ({error.strerror}); the table of labels names it.") from None
    except RequestError as error:
        raise LabelsError(f"{path}: {error}") from None
