"""Analysis of one photo: detect faces, classify gender and age."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.enhance.net import EnhanceNet
from visage.enhance.small_faces import FaceEnhancer, are_small
from visage.errors import ImageTooLarge, PackError
from visage.faces.face import Face, Landmarks
from visage.faces.search import Detail, find_faces
from visage.images.boxes import Box, box_inside
from visage.images.decoding import Photo, decode, inspect
from visage.images.headers import ImageHeader
from visage.nets.classifier import Classifier, classify_by_all, read_classifiers
from visage.nets.crops import turn_angles
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.enhance_spec import EnhanceSpec
from visage.packs.pack import Pack
from visage.ranges import CONFIDENCE_RANGE, IntegerRange, check_choice, check_number
from visage.timings import Timings

# Unless `detail` is `high`, large photos are decoded at 1/2, 1/4 or 1/8, as long as the longer side keeps this many
# pixels. Of 281 faces in mosaics of 2520 and 2880 pixels `auto` finds 209 both at full and at half size. Gender and age
# are as often correct for faces 27 pixels wide as for 78 (docs/decisions.md).
MIN_DECODED_SIDE = 1500

# Both upper limits are our choice: more than the faces that a crowd gives, and than the longest side of a photo.
MAX_FACES_RANGE = IntegerRange(1, 1000)
MIN_FACE_SIZE_RANGE = IntegerRange(0, 100_000)


@dataclass(frozen=True)
class AnalyzeOptions:
    """The options of an analysis.

    `min_confidence` is the confidence threshold for faces (0..1); None stands for that of the pack. `max_faces` limits
    the result to the largest faces. `min_face_size` is the smallest accepted shorter side of a box, in pixels of the
    original. With `enhance_faces` the super-resolution net enlarges small faces before they are classified.

    Raises:
        BadParameter: a value is outside its range.
    """

    min_confidence: float | None = None
    max_faces: int | None = None
    min_face_size: int = 0
    detail: Detail = Detail.AUTO
    enhance_faces: bool = False

    def __post_init__(self) -> None:
        if self.min_confidence is not None:
            check_number("min_confidence", self.min_confidence, CONFIDENCE_RANGE)
        if self.max_faces is not None:
            check_number("max_faces", self.max_faces, MAX_FACES_RANGE)
        check_number("min_face_size", self.min_face_size, MIN_FACE_SIZE_RANGE)
        check_choice("detail", self.detail, Detail)


class Analyzer:
    """The nets of one slot. They analyze one photo at a time, in one thread at a time."""

    def __init__(self, pack: Pack, enhance_spec: EnhanceSpec | None = None, *, eager: bool = True) -> None:
        """Read the detector of `pack`, and its classifiers if `eager`; otherwise they are read on first use.

        The net of `enhance_spec`, which enlarges small faces, is always read on first use.

        Raises:
            PackError: a file is missing or altered, or OpenCV cannot read it.
        """
        self.pack = pack
        self._enhance_spec = enhance_spec
        self.detector = FaceDetector(pack.face)
        if eager:
            _ = self._classifiers

    def analyze(self, photo: Photo, options: AnalyzeOptions, timings: Timings) -> tuple[Face, ...]:
        """Return the faces in `photo`, largest first; record the stages `detect` and `attributes` in `timings`."""
        found = find_faces(self.detector, self.pack.face, photo.pixels, options.detail)
        chosen = self.choose(found, photo, options)
        timings.record("detect")
        faces = self.describe(photo, chosen, enhanced=options.enhance_faces)
        timings.record("attributes")
        return faces

    def describe(self, photo: Photo, found: Detections, *, enhanced: bool = False) -> tuple[Face, ...]:
        """Classify the faces `found` in `photo`, in their order; with `enhanced`, enlarge small ones first.

        Faces with landmarks are turned upright for that.
        """
        classifiers = self._classifiers
        small = are_small(found.boxes) if enhanced else np.zeros(len(found.boxes), bool)
        genders, ages = (np.empty((len(small), len(each.labels)), np.float32) for each in classifiers)
        angles = turn_angles(found)
        genders[~small], ages[~small] = classify_by_all(classifiers, photo.pixels, found.boxes[~small], angles[~small])
        for index in np.flatnonzero(small):
            around, box = self._face_enhancer.enhance_face(photo.pixels, found.boxes[index])
            one = slice(index, index + 1)
            genders[one], ages[one] = classify_by_all(classifiers, around, box[None], angles[one])
        faces = tuple(
            self._face(box, float(confidence), gender, age, photo)
            for box, confidence, gender, age in zip(found.boxes, found.confidences, genders, ages, strict=True)
        )
        if found.landmarks is None:
            return faces
        return tuple(
            replace(face, landmarks=Landmarks(*((float(x), float(y)) for x, y in points)))
            for face, points in zip(faces, found.landmarks / np.float32(photo.scale), strict=True)
        )

    @cached_property
    def _classifiers(self) -> tuple[Classifier, ...]:
        """The classifiers of gender and age."""
        return read_classifiers(self.pack.gender, self.pack.age)

    @cached_property
    def _face_enhancer(self) -> FaceEnhancer:
        if self._enhance_spec is None:
            raise PackError(f"The pack in {self.pack.folder} has no net that enlarges faces.")
        # Twice the shift, because a crop may be shifted to either side.
        reach = max(spec.crop_scale + 2 * abs(spec.crop_shift) for spec in (self.pack.gender, self.pack.age))
        return FaceEnhancer(EnhanceNet(self._enhance_spec), reach)

    def check(self) -> None:
        """Run every net once on a minimal input. The classifiers keep the memory of this run for photos.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        grey = np.full((2, 2, 3), 127, np.uint8)
        with self._opencv_errors_as_pack_errors():
            self.detector.check()
            classify_by_all(self._classifiers, grey, np.array([[0, 0, 2, 2]], np.float32))

    def warm_up(self) -> None:
        """Run every net as for an ordinary photo, so that the first one is not slow.

        The detector runs at the input size of its manifest. Memory for finer passes is allocated when a photo needs it.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        grey = np.full((2, 2, 3), 127, np.uint8)
        with self._opencv_errors_as_pack_errors():
            self.detector.prepare()
            classify_by_all(self._classifiers, grey, np.array([[0, 0, 2, 2]], np.float32))

    @contextmanager
    def _opencv_errors_as_pack_errors(self) -> Iterator[None]:
        """Raise OpenCV's errors as PackError, with the first line of their message."""
        try:
            yield
        except cv2.error as error:
            reason = error.err.splitlines()[0]
            raise PackError(f"The nets in {self.pack.folder} do not fit their manifest: {reason}.") from None

    def choose(self, found: Detections, photo: Photo, options: AnalyzeOptions) -> Detections:
        """Apply the confidence threshold, `min_face_size` and `max_faces` of `options`; sort, largest first."""
        threshold = self.pack.face.min_confidence if options.min_confidence is None else options.min_confidence
        confident = found.select(found.confidences >= threshold)
        # Sizes are those that the response shows, in whole pixels of the original.
        boxes = [original_box(box, photo) for box in confident.boxes]
        large = [index for index, box in enumerate(boxes) if min(box.width, box.height) >= options.min_face_size]
        # The sort is stable, so the more confident of equally large faces comes first.
        chosen = sorted(large, key=lambda index: -boxes[index].area)[: options.max_faces]
        return confident.select(np.array(chosen, int))

    def _face(
        self,
        box: NDArray[np.float32],
        confidence: float,
        gender: NDArray[np.float32],
        age: NDArray[np.float32],
        photo: Photo,
    ) -> Face:
        ranges = self.pack.age.ranges
        means = [(first + last) / 2 for first, last in ranges]
        return Face(
            box=original_box(box, photo),
            confidence=confidence,
            gender_probabilities=_by_label(self.pack.gender.labels, gender),
            age_probabilities=_by_label(self.pack.age.labels, age),
            age_range=ranges[int(age.argmax())],
            age_years=float(np.dot(age, means) / age.sum()),
        )


def inspect_for(detail: Detail, data: bytes, max_pixels: int, max_bytes: int) -> ImageHeader:
    """Inspect the image `data` as `visage.images.inspect` does, for the size at which `decode_for` decodes it.

    Raises:
        RequestError: the bytes are not an image, or it has too many pixels or takes too many bytes at that size.
    """
    try:
        return inspect(data, max_pixels, max_bytes=max_bytes, min_side=_min_side(detail))
    except ImageTooLarge as error:
        if detail is not Detail.HIGH:
            raise
        inspect(data, max_pixels, max_bytes=max_bytes, min_side=MIN_DECODED_SIDE)
        sentence = f"{error} With another detail than high, this one is accepted."
        raise ImageTooLarge(sentence, limit=error.limit) from None


def decode_for(detail: Detail, data: bytes, header: ImageHeader) -> Photo:
    """Decode the image `data`, whose header was inspected, at the size that `detail` needs.

    Raises:
        UndecodableImage: the image is cut short or damaged.
    """
    return decode(data, header, _min_side(detail))


def _min_side(detail: Detail) -> int | None:
    return None if detail is Detail.HIGH else MIN_DECODED_SIDE


def original_box(box: NDArray[np.float32], photo: Photo) -> Box:
    """Convert `box` (4,), in pixels of the decoded photo, to whole pixels of the upright original.

    The result is inside the original and at least 1 x 1.
    """
    return box_inside((float(edge) / photo.scale for edge in box), photo.width, photo.height)


def _by_label(labels: Sequence[str], probabilities: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(labels, map(float, probabilities), strict=True))
