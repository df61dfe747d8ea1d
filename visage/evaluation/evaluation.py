"""How good a pack is: its answers to photos whose faces are known, and the time that they take."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import LabelsError, RequestError
from visage.evaluation.labels import LabelledFace, LabelledPhoto
from visage.faces.analyzer import ENOUGH_SIDE, Analyzer, Options
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.images.boxes import intersection_over_union
from visage.images.decoding import Photo, decode, inspect
from visage.images.headers import ImageHeader
from visage.nets.detector import Detections
from visage.packs.pack import Pack
from visage.timings import Timings

# A box is a face's if they share more than this part of their union.
FOUND = 0.4

# A box that is no face's is false, unless it shares this part with a face that may be one or that no box is of: it
# means that face, but not well enough.
NEARLY = 0.3

# A face of less than this part of the photo's longer side is a small one.
SMALL = 0.1

# Of pictures that the person who measures chose: only what no machine holds is refused.
_MAX_PIXELS = 1_000_000_000


@dataclass(frozen=True)
class Answer:
    """What a pack said of one labelled face; None where the face was not found or the label is unknown.

    `groups_off` counts age groups between the answer and the group that holds the middle of the label, `years_off` the
    years from the expectation to that middle.
    """

    face: LabelledFace
    small: bool
    found: bool
    gender_right: bool | None = None
    groups_off: int | None = None
    years_off: float | None = None


@dataclass(frozen=True)
class PhotoResult:
    """What a pack made of one photo.

    `given` holds its answers to the labelled boxes, `searched` those to the boxes that its own detector found;
    `false_boxes` is how many of these are no face, or a face once more. `attribute_seconds` is (faces, seconds) for
    gender and age together, each time that they ran.
    """

    given: tuple[Answer, ...]
    searched: tuple[Answer, ...]
    false_boxes: int
    search_seconds: float
    attribute_seconds: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Evaluation:
    """What a pack made of all photos."""

    pack: Pack
    results: tuple[PhotoResult, ...]

    @property
    def false_boxes(self) -> int:
        return sum(result.false_boxes for result in self.results)

    @property
    def given(self) -> list[Answer]:
        return [answer for result in self.results for answer in result.given]

    @property
    def searched(self) -> list[Answer]:
        return [answer for result in self.results for answer in result.searched]


def evaluate(
    packs: Sequence[Pack],
    photos: Sequence[LabelledPhoto],
    detail: Detail,
    least_height: float = 0,
    progress: Callable[[Sequence[LabelledPhoto]], Iterable[LabelledPhoto]] = iter,
) -> list[Evaluation]:
    """Every pack's answers to all `photos`, one photo after the other, so that all packs meet the same machine.

    Faces of less than `least_height` pixels are left out, found or not. One OpenCV thread is used, in this process.

    Raises:
        PackError: a pack cannot be used.
        LabelsError: a photo is missing or cannot be decoded, or its labels are none that a pack could give.
    """
    cv2.setNumThreads(1)
    for labelled in photos:
        _check(labelled, packs)
    analyzers = [Analyzer(pack) for pack in packs]
    for analyzer in analyzers:
        analyzer.check()
    results: list[list[PhotoResult]] = [[] for _ in packs]
    for labelled in progress(photos):
        faces = [replace(face, perhaps=face.perhaps or _height(face) < least_height) for face in labelled.faces]
        photo = _read(labelled.path, detail)
        for pack, analyzer, mine in zip(packs, analyzers, results, strict=True):
            mine.append(_result(analyzer, pack, photo, faces, detail))
    return [Evaluation(pack, tuple(mine)) for pack, mine in zip(packs, results, strict=True)]


def match(
    boxes: NDArray[np.float32], faces: NDArray[np.float32], perhaps: NDArray[np.bool_]
) -> tuple[dict[int, int], int]:
    """Which of `boxes` (n, 4) is which of `faces` (m, 4), and how many boxes are false.

    Pairs are face to box, the closest first, each face and each box once. A box beside one that has its face is false;
    one at a face that is `perhaps` (m,) one never is.
    """
    shares = intersection_over_union(boxes, faces)
    pairs = dict(_pairs(shares))
    open_faces = perhaps | ~np.isin(np.arange(len(faces)), list(pairs))
    lone = np.setdiff1d(np.arange(len(boxes)), list(pairs.values()))
    nearly = (shares[np.ix_(lone, np.flatnonzero(open_faces))] >= NEARLY).any(axis=1)
    return pairs, int((~nearly).sum())


def _pairs(shares: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    left = shares.copy()
    while left.size and left.max() > FOUND:
        box, face = divmod(int(left.argmax()), left.shape[1])
        left[box], left[:, face] = 0, 0
        yield face, box


def _result(analyzer: Analyzer, pack: Pack, photo: Photo, faces: Sequence[LabelledFace], detail: Detail) -> PhotoResult:
    certain = [face for face in faces if not face.perhaps]
    started = time.perf_counter()
    boxes = _stacked([face.box for face in certain])
    described = analyzer.describe(photo, Detections(boxes * np.float32(photo.scale), np.ones(len(boxes), np.float32)))
    seconds = [(len(certain), time.perf_counter() - started)]
    given = [judge(face, photo, answer, pack) for face, answer in zip(certain, described, strict=True)]

    timings = Timings()
    found = analyzer.analyze(photo, Options(detail=detail), timings)
    seconds.append((len(found), timings.seconds["attributes"]))
    perhaps = np.array([face.perhaps for face in faces], bool)
    pairs, false_boxes = match(
        _stacked([_edges(each) for each in found]), _stacked([face.box for face in faces]), perhaps
    )
    searched = [
        judge(face, photo, found[pairs[index]] if index in pairs else None, pack)
        for index, face in enumerate(faces)
        if not face.perhaps
    ]
    ran = tuple((count, each) for count, each in seconds if count)
    return PhotoResult(tuple(given), tuple(searched), false_boxes, timings.seconds["detect"], ran)


def judge(face: LabelledFace, photo: Photo, answer: Face | None, pack: Pack) -> Answer:
    """What an answer of `pack` to a labelled face of `photo` is worth; None is that the face was not found."""
    small = _height(face) < SMALL * max(photo.width, photo.height)
    if answer is None:
        return Answer(face, small, found=False)
    right = None if face.gender is None else face.gender.casefold() == answer.gender.casefold()
    if face.age is None:
        return Answer(face, small, found=True, gender_right=right)
    middle = sum(face.age) / 2
    groups_off = abs(_group_of(middle, pack.age.ranges) - pack.age.ranges.index(answer.age_range))
    years_off = abs(answer.age_years - middle)
    return Answer(face, small, found=True, gender_right=right, groups_off=groups_off, years_off=years_off)


def _group_of(years: float, ranges: Sequence[tuple[int, int]]) -> int:
    """The index of the group that holds `years`, or of the nearest one: packs divide the ages differently."""
    away = [max(first - years, years - last, 0) for first, last in ranges]
    return int(np.argmin(away))


def _check(photo: LabelledPhoto, packs: Sequence[Pack]) -> None:
    """Find out what can be found out before hours of work: whether the photo is one, and its labels are known."""
    _opened(photo.path)
    for pack in packs:
        known = {label.casefold() for label in pack.gender.labels}
        for face in photo.faces:
            if face.gender is not None and face.gender.casefold() not in known:
                raise LabelsError(
                    f"{photo.path.name} is labelled {face.gender!r}, but the pack {pack.name} tells "
                    f"{' from '.join(pack.gender.labels)}. Use its words in the labels."
                )


def _opened(path: Path) -> tuple[bytes, ImageHeader]:
    """The bytes of a picture and its header, which is that of one."""
    try:
        data = path.read_bytes()
        return data, inspect(data, _MAX_PIXELS)
    except OSError as error:
        raise LabelsError(f"{path} cannot be read ({error.strerror}); the table of labels names it.") from None
    except RequestError as error:
        raise LabelsError(f"{path}: {error}") from None


def _read(path: Path, detail: Detail) -> Photo:
    """The photo as the service would see it."""
    data, header = _opened(path)
    try:
        return decode(data, header, None if detail is Detail.HIGH else ENOUGH_SIDE)
    except RequestError as error:
        raise LabelsError(f"{path}: {error}") from None


def _edges(face: Face) -> NDArray[np.float32]:
    return np.array(face.box.corners, np.float32)


def _stacked(boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.array(boxes, np.float32).reshape(-1, 4)


def _height(face: LabelledFace) -> float:
    return float(face.box[3] - face.box[1])
