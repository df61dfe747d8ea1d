"""A face with its attributes, as the library, the service and the command line return it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from visage.images.boxes import Box

Point = tuple[float, float]


@dataclass(frozen=True)
class Landmarks:
    """Five points of a face, x and y in pixels of the upright original.

    Left and right are those of the picture of an upright face: `left_eye` is the person's right eye. Points may be
    outside the picture if its border cuts the face.
    """

    left_eye: Point
    right_eye: Point
    nose: Point
    left_mouth: Point
    right_mouth: Point

    @property
    def points(self) -> tuple[Point, ...]:
        """The points in the order of the fields."""
        return self.left_eye, self.right_eye, self.nose, self.left_mouth, self.right_mouth


@dataclass(frozen=True)
class Face:
    """A face and its attributes.

    `box` is in pixels of the upright original. `confidence` (0..1) is the detector's. The probabilities (0..1, sum 1)
    have the labels of the pack as keys, in the order of its manifest. `age_range` are the first and last year of the
    most probable group. `age_years` is the expected age: the mean of the groups' means, weighted by probability.
    `landmarks` are None if the pack's detector gives none.
    """

    box: Box
    confidence: float
    gender_probabilities: Mapping[str, float]
    age_probabilities: Mapping[str, float]
    age_range: tuple[int, int]
    age_years: float
    landmarks: Landmarks | None = None

    @cached_property
    def gender(self) -> str:
        """The most probable label, such as `Female`."""
        return _most_probable(self.gender_probabilities)

    @property
    def gender_confidence(self) -> float:
        return self.gender_probabilities[self.gender]

    @cached_property
    def age(self) -> str:
        """The label of the most probable group, such as `(25-32)`."""
        return _most_probable(self.age_probabilities)

    @property
    def age_confidence(self) -> float:
        return self.age_probabilities[self.age]


def _most_probable(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)
