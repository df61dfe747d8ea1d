"""A photo's pixels to a list of faces."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.enhance.net import EnhanceNet
from visage.enhance.small_faces import FaceEnhancer, are_small
from visage.errors import PackError
from visage.faces.face import Face
from visage.faces.search import Detail, find_faces, first_pass_size
from visage.images.boxes import Box
from visage.images.decoding import Photo
from visage.nets.classifier import Classifier, classify_by_all
from visage.nets.detector import Detections, FaceDetector
from visage.packs.enhance_spec import EnhanceSpec
from visage.packs.pack import Pack
from visage.timings import Timings

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

    def __init__(self, pack: Pack, enhance_spec: EnhanceSpec | None = None, *, eager: bool = True) -> None:
        """Read the nets of `pack`; those for gender and age, unless `eager`, when they are first asked for.

        The one that enlarges small faces always is read then.
        """
        self.pack = pack
        self._enhance_spec = enhance_spec
        self.detector = FaceDetector(pack.face)
        if eager:
            _ = self._classifiers

    def analyze(self, photo: Photo, options: Options, timings: Timings) -> tuple[Face, ...]:
        """The faces of `photo`, largest first; `timings` gets the stages `detect` and `attributes`."""
        found = find_faces(self.detector, self.pack.face, photo.pixels, options.detail)
        chosen = self.choose(found, photo, options)
        timings.record("detect")
        faces = self.describe(photo, chosen, enhanced=options.enhance_faces)
        timings.record("attributes")
        return faces

    def describe(self, photo: Photo, found: Detections, *, enhanced: bool = False) -> tuple[Face, ...]:
        """What the gender and age nets say of the faces that were `found` in `photo`, in their order.

        Small ones are looked at as they are, or `enhanced`.
        """
        classifiers = self._classifiers
        small = are_small(found.boxes) if enhanced else np.zeros(len(found.boxes), bool)
        genders, ages = (np.empty((len(small), len(each.labels)), np.float32) for each in classifiers)
        genders[~small], ages[~small] = classify_by_all(classifiers, photo.pixels, found.boxes[~small])
        for index in np.flatnonzero(small):
            around, box = self._enlarger.enhance_face(photo.pixels, found.boxes[index])
            genders[index : index + 1], ages[index : index + 1] = classify_by_all(classifiers, around, box[None])
        return tuple(
            self._face(box, float(confidence), gender, age, photo)
            for box, confidence, gender, age in zip(found.boxes, found.confidences, genders, ages, strict=True)
        )

    @cached_property
    def _classifiers(self) -> tuple[Classifier, Classifier]:
        """Of gender and age."""
        return Classifier(self.pack.gender), Classifier(self.pack.age)

    @cached_property
    def _enlarger(self) -> FaceEnhancer:
        if self._enhance_spec is None:
            raise PackError(f"The pack in {self.pack.folder} has no net that enlarges faces.")
        crop_scale = max(self.pack.gender.crop_scale, self.pack.age.crop_scale)
        return FaceEnhancer(EnhanceNet(self._enhance_spec), crop_scale)

    def check(self) -> None:
        """Run every net once, on as little as it takes. How gender and age nets are laid out for it serves photos too.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        grey = np.full((2, 2, 3), 127, np.uint8)
        with self._fitting():
            self.detector.check()
            classify_by_all(self._classifiers, grey, np.array([[0, 0, 2, 2]], np.float32))

    def warm_up(self) -> None:
        """Run every net as an ordinary photo does, so that the first ordinary photo is not slow.

        Closer looks find their memory when a photo needs them: to have it ready would cost 5 to 60 MB for good.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        side = max(self.pack.face.input)
        grey = np.full((2 * side, 3 * side, 3), 127, np.uint8)
        with self._fitting():
            self.detector.detect(grey, first_pass_size(self.pack.face))
            classify_by_all(self._classifiers, grey, np.array([[0, 0, side, side]], np.float32))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Tell in one sentence what OpenCV has against the nets."""
        try:
            yield
        except cv2.error as error:
            reason = error.err.splitlines()[0]
            raise PackError(f"The nets in {self.pack.folder} do not fit their manifest: {reason}.") from None

    def choose(self, found: Detections, photo: Photo, options: Options) -> Detections:
        """The boxes that the caller wants, largest first."""
        least = self.pack.face.min_confidence if options.min_confidence is None else options.min_confidence
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
        ranges = self.pack.age.ranges
        middles = [(first + last) / 2 for first, last in ranges]
        return Face(
            box=original_box(box, photo),
            confidence=confidence,
            gender_probabilities=_by_label(self.pack.gender.labels, gender),
            age_probabilities=_by_label(self.pack.age.labels, age),
            age_range=ranges[int(age.argmax())],
            age_years=float(np.dot(age, middles) / age.sum()),
        )


def original_box(box: NDArray[np.float32], photo: Photo) -> Box:
    """A box (4,) in decoded pixels as whole pixels of the upright original, at least 1 x 1 and inside it."""
    x1, y1, x2, y2 = (float(edge) / photo.scale for edge in box)
    left, top = min(max(0, round(x1)), photo.width - 1), min(max(0, round(y1)), photo.height - 1)
    right, bottom = min(max(left + 1, round(x2)), photo.width), min(max(top + 1, round(y2)), photo.height)
    return Box(left, top, right, bottom)


def _by_label(labels: Sequence[str], probabilities: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(labels, map(float, probabilities), strict=True))
