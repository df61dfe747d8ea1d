"""A photo's pixels to a list of faces."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.boxes import intersection_over_union, shared_parts
from visage.errors import PackError
from visage.face_enlarger import FaceEnlarger, are_small
from visage.face_search import Detail, find_boxes, find_faces, first_size, merge
from visage.faces import Box, Face
from visage.guard import PART_OF_FACE, SAME_FACE, Found, GuardOptions, Search
from visage.images import Photo
from visage.nets import Classifier, Detections, FaceDetector, classify_by_all
from visage.packs import Pack
from visage.stopwatch import Stopwatch
from visage.superres_net import SuperresNet
from visage.superres_spec import SuperresSpec

# A photo whose longer side is at least twice this is decoded at 1/2, 1/4 or 1/8 unless every detail is wanted. Of 281
# faces in mosaics of 2520 and 2880 pixels `auto` finds 209 as they are and 209 at half their size; faces of 27 pixels
# width are as often told right as those of 78 (benchmarks/README.md).
ENOUGH_SIDE = 1500


@dataclass(frozen=True)
class Options:
    """What the caller wants of an analysis.

    `min_confidence` (0..1; the pack's own where None) is what a box needs to be a face, `max_faces` keeps the largest,
    `min_face_size` is the least shorter side of a box in pixels of the original. With `enhance_faces` small faces are
    enlarged by a net before gender and age are told.
    """

    min_confidence: float | None = None
    max_faces: int | None = None
    min_face_size: int = 0
    detail: Detail = Detail.AUTO
    enhance_faces: bool = False


class Analyzer:
    """Nets of its own; one photo at a time, by one thread at a time."""

    def __init__(self, pack: Pack, superres: SuperresSpec | None = None, *, eager: bool = True) -> None:
        """Read the nets of `pack`; those for gender and age, unless `eager`, when they are first asked for.

        The one that enlarges small faces always is read then.
        """
        self._pack = pack
        self._superres = superres
        self._detector = FaceDetector(pack.face)
        if eager:
            _ = self._classifiers

    def analyze(self, photo: Photo, options: Options, stopwatch: Stopwatch) -> tuple[Face, ...]:
        """The faces of `photo`, largest first; `stopwatch` gets the laps `detect` and `attributes`."""
        found = find_faces(self._detector, self._pack.face, photo.pixels, options.detail)
        chosen = self._choose(found, photo, options)
        stopwatch.lap("detect")
        faces = self.describe(photo, chosen, enhanced=options.enhance_faces)
        stopwatch.lap("attributes")
        return faces

    def find(self, photo: Photo, options: GuardOptions) -> Search:
        """What the privacy guard finds in `photo`, the largest first.

        Of overlapping boxes all are covered: which of them has the whole face cannot be known.
        """
        least = self._pack.face.guard_confidence if options.min_confidence is None else options.min_confidence
        found = find_boxes(self._detector, self._pack.face, photo.pixels, options.detail)
        sure = found.confidences >= least
        every = Detections(found.boxes[sure], found.confidences[sure])
        faces = self._choose(merge(every), photo, Options(least))
        boxes = [original_box(box, photo) for box in faces.boxes]
        kept = _named(boxes, options.keep)
        return Search(
            tuple(
                Found(box, float(confidence), index in kept)
                for index, (box, confidence) in enumerate(zip(boxes, faces.confidences, strict=True))
            ),
            _left([original_box(box, photo) for box in every.boxes], [options.keep[each] for each in kept.values()]),
        )

    def describe(self, photo: Photo, found: Detections, *, enhanced: bool = False) -> tuple[Face, ...]:
        """What the gender and age nets say of the faces that were `found` in `photo`, in their order.

        Small ones are looked at as they are, or `enhanced`.
        """
        classifiers = self._classifiers
        small = are_small(found.boxes) if enhanced else np.zeros(len(found.boxes), bool)
        genders, ages = (np.empty((len(small), len(each.labels)), np.float32) for each in classifiers)
        genders[~small], ages[~small] = classify_by_all(classifiers, photo.pixels, found.boxes[~small])
        for index in np.flatnonzero(small):
            around, box = self._enlarger.enlarge_face(photo.pixels, found.boxes[index])
            genders[index : index + 1], ages[index : index + 1] = classify_by_all(classifiers, around, box[None])
        return tuple(
            self._face(box, float(confidence), gender, age, photo)
            for box, confidence, gender, age in zip(found.boxes, found.confidences, genders, ages, strict=True)
        )

    @cached_property
    def _classifiers(self) -> tuple[Classifier, Classifier]:
        """Of gender and age."""
        return Classifier(self._pack.gender), Classifier(self._pack.age)

    @cached_property
    def _enlarger(self) -> FaceEnlarger:
        if self._superres is None:
            raise PackError(f"The pack in {self._pack.folder} has no net that enlarges faces.")
        crop_scale = max(self._pack.gender.crop_scale, self._pack.age.crop_scale)
        return FaceEnlarger(SuperresNet(self._superres), crop_scale)

    def check(self) -> None:
        """Run every net once, on as little as it takes. How gender and age nets are laid out for it serves photos too.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        grey = np.full((2, 2, 3), 127, np.uint8)
        with self._fitting():
            self._detector.check()
            classify_by_all(self._classifiers, grey, np.array([[0, 0, 2, 2]], np.float32))

    def warm_up(self) -> None:
        """Run every net as an ordinary photo does, so that the first ordinary photo is not slow.

        Closer looks find their memory when a photo needs them: to have it ready would cost 5 to 60 MB for good.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        side = max(self._pack.face.input)
        grey = np.full((2 * side, 3 * side, 3), 127, np.uint8)
        with self._fitting():
            self._detector.detect(grey, first_size(self._pack.face))
            classify_by_all(self._classifiers, grey, np.array([[0, 0, side, side]], np.float32))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Tell in one sentence what OpenCV has against the nets."""
        try:
            yield
        except cv2.error as error:
            reason = error.err.splitlines()[0]
            raise PackError(f"The nets in {self._pack.folder} do not fit their manifest: {reason}.") from None

    def _choose(self, found: Detections, photo: Photo, options: Options) -> Detections:
        """The boxes that the caller wants, largest first."""
        least = self._pack.face.min_confidence if options.min_confidence is None else options.min_confidence
        # Judged as they are answered, in whole pixels of the original.
        sure = np.flatnonzero(found.confidences >= least).tolist()
        boxes = {index: original_box(found.boxes[index], photo) for index in sure}
        wanted = [index for index in sure if min(boxes[index].width, boxes[index].height) >= options.min_face_size]
        # A stable sort: of equally large faces the more confident comes first.
        wanted = sorted(wanted, key=lambda index: -boxes[index].area)[: options.max_faces]
        return Detections(found.boxes[wanted], found.confidences[wanted])

    def _face(
        self,
        box: NDArray[np.float32],
        confidence: float,
        gender: NDArray[np.float32],
        age: NDArray[np.float32],
        photo: Photo,
    ) -> Face:
        ranges = self._pack.age.ranges
        middles = [(first + last) / 2 for first, last in ranges]
        return Face(
            box=original_box(box, photo),
            confidence=confidence,
            gender_probabilities=_by_label(self._pack.gender.labels, gender),
            age_probabilities=_by_label(self._pack.age.labels, age),
            age_range=ranges[int(age.argmax())],
            age_years=float(np.dot(age, middles) / age.sum()),
        )


def original_box(box: NDArray[np.float32], photo: Photo) -> Box:
    """A box (4,) in decoded pixels as whole pixels of the upright original, at least 1 x 1 and inside it."""
    x1, y1, x2, y2 = (float(edge) / photo.scale for edge in box)
    left, top = min(max(0, round(x1)), photo.width - 1), min(max(0, round(y1)), photo.height - 1)
    right, bottom = min(max(left + 1, round(x2)), photo.width), min(max(top + 1, round(y2)), photo.height)
    return Box(left, top, right, bottom)


def _named(boxes: Sequence[Box], keep: Sequence[Box]) -> dict[int, int]:
    """Which faces `keep` names, by index: of each box the face that shares most with it, if that is enough."""
    if not boxes or not keep:
        return {}
    shares = intersection_over_union(_corners(keep), _corners(boxes))
    return {int(row.argmax()): index for index, row in enumerate(shares) if row.max() >= SAME_FACE}


def _left(boxes: Sequence[Box], kept: Sequence[Box]) -> tuple[Box, ...]:
    """Those of `boxes` that neither are nor belong to a face that is `kept`."""
    if not boxes or not kept:
        return tuple(boxes)
    same = intersection_over_union(_corners(boxes), _corners(kept)).max(axis=1) >= SAME_FACE
    inside = shared_parts(_corners(boxes), _corners(kept)).max(axis=1) >= PART_OF_FACE
    return tuple(boxes[index] for index in np.flatnonzero(~same & ~inside))


def _corners(boxes: Sequence[Box]) -> NDArray[np.float32]:
    return np.array([box.corners for box in boxes], np.float32)


def _by_label(labels: Sequence[str], probabilities: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(labels, map(float, probabilities), strict=True))
