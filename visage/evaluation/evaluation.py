"""Evaluate packs and YuNet on labelled photos: faces found, gender, age, and time."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import LabelsError, RequestError
from visage.evaluation.labels import LabelledFace, LabelledPhoto
from visage.evaluation.yunet import MIN_CONFIDENCE, YuNet
from visage.faces.analyzer import AnalyzeOptions, Analyzer, decode_for
from visage.faces.face import Face
from visage.faces.search import Detail, find_faces
from visage.images.boxes import intersection_over_union
from visage.images.decoding import Photo, inspect
from visage.images.headers import ImageHeader
from visage.nets.detections import Detections
from visage.packs.pack import Pack
from visage.timings import Timings

# A detected box finds a ground-truth face if their intersection over union is higher than this. Ours; WIDER FACE's
# benchmark uses 0.5.
MATCH_IOU = 0.4

# A box that finds no face is a false positive, unless its intersection over union with a missed or difficult face is at
# least this. Ours: such a box shows that face, too imprecisely to count as found.
NEAR_IOU = 0.3

# A face is small if its height is less than this part of the photo's longer side. Ours.
SMALL_FACE = 0.1

# Pixels. The user chose these photos, so this limit only rejects what no machine can hold.
_MAX_PIXELS = 1_000_000_000


@dataclass(frozen=True)
class FaceResult:
    """What a pack predicted for one ground-truth face; None where the face was missed or its label is unknown.

    `age_group_error` is the number of age groups between the predicted one and the one that holds the middle of the
    label. `age_error` is the distance in years from the expected age to that middle.
    """

    face: LabelledFace
    small: bool
    found: bool
    gender_correct: bool | None = None
    age_group_error: int | None = None
    age_error: float | None = None


@dataclass(frozen=True)
class PhotoResult:
    """What a pack predicted for one photo.

    `on_ground_truth` holds the results on the ground-truth boxes, `on_detections` those on the boxes of the detector.
    `false_positives` counts detected boxes that are not a face, or a second box of one. `attribute_seconds` has
    (faces, seconds) of gender and age together for each time that the classifiers ran. `faces` are all labelled faces,
    and `detections` all boxes of the detector, of every confidence, in pixels of the upright original.
    """

    on_ground_truth: tuple[FaceResult, ...]
    on_detections: tuple[FaceResult, ...]
    false_positives: int
    detection_seconds: float
    attribute_seconds: tuple[tuple[int, float], ...]
    faces: tuple[LabelledFace, ...]
    detections: Detections


@dataclass(frozen=True)
class Evaluation:
    """What a pack, or YuNet, predicted for all photos. `name` is that of the pack with its version."""

    name: str
    results: tuple[PhotoResult, ...]

    @property
    def false_positives(self) -> int:
        return sum(result.false_positives for result in self.results)

    @property
    def on_ground_truth(self) -> list[FaceResult]:
        return [face for result in self.results for face in result.on_ground_truth]

    @property
    def on_detections(self) -> list[FaceResult]:
        return [face for result in self.results for face in result.on_detections]


def evaluate(
    packs: Sequence[Pack],
    photos: Sequence[LabelledPhoto],
    detail: Detail,
    least_height: float = 0,
    *,
    progress: Callable[[Sequence[LabelledPhoto]], Iterable[LabelledPhoto]] = iter,
    yunet: YuNet | None = None,
) -> list[Evaluation]:
    """Evaluate every pack on all `photos`, and then `yunet`, in this process with one OpenCV thread.

    They take turns on each photo, so that a change in the machine's speed affects all of them. Another one comes first
    each time, because the first takes longer: the photo is not in the processor's cache yet. Faces lower than
    `least_height` pixels are treated as difficult. `progress` wraps the photos, for a progress bar.

    Raises:
        PackError: a pack cannot be used.
        LabelsError: a photo is missing or cannot be decoded, a box is outside its photo, or a gender label is not one
            of a pack's.
    """
    cv2.setNumThreads(1)
    for labelled in photos:
        _check(labelled, packs)
    analyzers = [Analyzer(pack) for pack in packs]
    for analyzer in analyzers:
        analyzer.check()
    evaluators: list[tuple[str, Callable[[Photo, Sequence[LabelledFace]], PhotoResult]]] = [
        (f"{pack.name} {pack.version}", partial(_evaluate_photo, analyzer, pack, detail))
        for pack, analyzer in zip(packs, analyzers, strict=True)
    ]
    if yunet:
        evaluators.append((yunet.name, partial(_evaluate_yunet, yunet)))
    results: list[list[PhotoResult]] = [[] for _ in evaluators]
    for number, labelled in enumerate(progress(photos)):
        faces = [replace(face, difficult=face.difficult or face.height < least_height) for face in labelled.faces]
        photo = _decode(labelled.path, detail)
        for turn in range(len(evaluators)):
            index = (number + turn) % len(evaluators)
            results[index].append(evaluators[index][1](photo, faces))
    return [Evaluation(name, tuple(each)) for (name, _), each in zip(evaluators, results, strict=True)]


def match(
    boxes: NDArray[np.float32], ground_truth: NDArray[np.float32], difficult: NDArray[np.bool_]
) -> tuple[dict[int, int], int]:
    """Match detected `boxes` (n, 4) to `ground_truth` boxes (m, 4); `difficult` (m,) marks those ignored in scoring.

    Returns the index of the box for the index of each face that was found, and the number of false positives. The pair
    with the highest intersection over union comes first; each face and each box is used once. A second box on a face
    is a false positive, except on a difficult one.
    """
    overlaps = intersection_over_union(boxes, ground_truth)
    pairs = dict(_best_pairs(overlaps))
    tolerant = difficult | ~np.isin(np.arange(len(ground_truth)), list(pairs))
    unmatched = np.setdiff1d(np.arange(len(boxes)), list(pairs.values()))
    near = (overlaps[np.ix_(unmatched, np.flatnonzero(tolerant))] >= NEAR_IOU).any(axis=1)
    return pairs, int((~near).sum())


def _best_pairs(overlaps: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    remaining = overlaps.copy()
    while remaining.size and remaining.max() > MATCH_IOU:
        box, face = divmod(int(remaining.argmax()), remaining.shape[1])
        remaining[box], remaining[:, face] = 0, 0
        yield face, box


def _evaluate_photo(
    analyzer: Analyzer, pack: Pack, detail: Detail, photo: Photo, faces: Sequence[LabelledFace]
) -> PhotoResult:
    scored = [face for face in faces if not face.difficult]
    started = time.perf_counter()
    boxes = _stack([face.box for face in scored])
    described = analyzer.describe(photo, Detections(boxes * np.float32(photo.scale), np.ones(len(boxes), np.float32)))
    seconds = [(len(scored), time.perf_counter() - started)]
    on_ground_truth = [compare(face, photo, each, pack) for face, each in zip(scored, described, strict=True)]

    timings = Timings()
    found = find_faces(analyzer.detector, pack.face, photo.pixels, detail)
    chosen = analyzer.choose(found, photo, AnalyzeOptions(detail=detail))
    timings.record("detect")
    detected = analyzer.describe(photo, chosen)
    timings.record("attributes")
    seconds.append((len(detected), timings.seconds["attributes"]))
    pairs, false_positives = match(
        _stack([np.array(each.box.corners, np.float32) for each in detected]),
        _stack([face.box for face in faces]),
        np.array([face.difficult for face in faces], bool),
    )
    on_detections = [
        compare(face, photo, detected[pairs[index]] if index in pairs else None, pack)
        for index, face in enumerate(faces)
        if not face.difficult
    ]
    return PhotoResult(
        tuple(on_ground_truth),
        tuple(on_detections),
        false_positives,
        timings.seconds["detect"],
        tuple((count, each) for count, each in seconds if count),
        tuple(faces),
        Detections(found.boxes / np.float32(photo.scale), found.confidences),
    )


def _evaluate_yunet(yunet: YuNet, photo: Photo, faces: Sequence[LabelledFace]) -> PhotoResult:
    """Gender and age stay unknown, and there are no results on ground-truth boxes."""
    started = time.perf_counter()
    found = yunet.detect(photo.pixels)
    seconds = time.perf_counter() - started
    found = Detections(found.boxes / np.float32(photo.scale), found.confidences)
    pairs, false_positives = match(
        found.select(found.confidences >= MIN_CONFIDENCE).boxes,
        _stack([face.box for face in faces]),
        np.array([face.difficult for face in faces], bool),
    )
    on_detections = tuple(
        FaceResult(replace(face, gender=None, age=None), _is_small(face, photo), found=index in pairs)
        for index, face in enumerate(faces)
        if not face.difficult
    )
    return PhotoResult((), on_detections, false_positives, seconds, (), tuple(faces), found)


def _is_small(face: LabelledFace, photo: Photo) -> bool:
    return face.height < SMALL_FACE * max(photo.width, photo.height)


def compare(face: LabelledFace, photo: Photo, predicted: Face | None, pack: Pack) -> FaceResult:
    """Compare what `pack` predicted with a ground-truth face of `photo`. `predicted` is None for a missed face."""
    small = _is_small(face, photo)
    if predicted is None:
        return FaceResult(face, small, found=False)
    gender_correct = None if face.gender is None else face.gender.casefold() == predicted.gender.casefold()
    if face.age is None:
        return FaceResult(face, small, found=True, gender_correct=gender_correct)
    middle = sum(face.age) / 2
    age_group_error = abs(_age_group(middle, pack.age.ranges) - pack.age.ranges.index(predicted.age_range))
    age_error = abs(predicted.age_years - middle)
    return FaceResult(
        face, small, found=True, gender_correct=gender_correct, age_group_error=age_group_error, age_error=age_error
    )


def _age_group(years: float, ranges: Sequence[tuple[int, int]]) -> int:
    """The index of the age group that holds `years`, or of the nearest one: a pack's groups may leave gaps."""
    distances = [max(first - years, years - last, 0) for first, last in ranges]
    return int(np.argmin(distances))


def _check(photo: LabelledPhoto, packs: Sequence[Pack]) -> None:
    """Check before hours of work that the file is an image with the boxes, and that packs know its gender labels."""
    _, header = _read(photo.path)
    width, height = header.upright_size
    for face in photo.faces:
        x1, y1, x2, y2 = face.box
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            raise LabelsError(
                f"{photo.path.name} has a box outside the photo of {width} x {height} pixels: "
                f"{x1:g},{y1:g},{x2:g},{y2:g}. Boxes are in pixels of the upright photo."
            )
    for pack in packs:
        known = {label.casefold() for label in pack.gender.labels}
        for face in photo.faces:
            if face.gender is not None and face.gender.casefold() not in known:
                raise LabelsError(
                    f"{photo.path.name} is labelled {face.gender!r}, but the labels of the pack {pack.name} are "
                    f"{' and '.join(pack.gender.labels)}. Use these in labels.csv."
                )


def _read(path: Path) -> tuple[bytes, ImageHeader]:
    """The bytes of an image and its header."""
    try:
        data = path.read_bytes()
        return data, inspect(data, _MAX_PIXELS)
    except OSError as error:
        raise LabelsError(f"{path} cannot be read ({error.strerror}), but labels.csv lists it.") from None
    except RequestError as error:
        raise LabelsError(f"{path}: {error}") from None


def _decode(path: Path, detail: Detail) -> Photo:
    """The photo, decoded at the size that the service uses for `detail`."""
    data, header = _read(path)
    try:
        return decode_for(detail, data, header)
    except RequestError as error:
        raise LabelsError(f"{path}: {error}") from None


def _stack(boxes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.array(boxes, np.float32).reshape(-1, 4)
