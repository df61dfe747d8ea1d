"""What is known of a face: plain data, the same for the library, the service and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Box:
    """A rectangle in whole pixels of the upright original, inside it: x1 <= x < x2 and y1 <= y < y2."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        return self.x1, self.y1, self.x2, self.y2

    @property
    def width(self) -> int:
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        return self.y2 - self.y1

    @property
    def area(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Face:
    """A face and its attributes.

    `confidence` (0..1) is the detector's. The probabilities (0..1, summing to 1) are keyed by the pack's labels, in
    the manifest's order. `age_range` holds the inclusive years of the likeliest group; `age_years` is the expectation
    over the groups' middles.
    """

    box: Box
    confidence: float
    gender_probabilities: Mapping[str, float]
    age_probabilities: Mapping[str, float]
    age_range: tuple[int, int]
    age_years: float

    @cached_property
    def gender(self) -> str:
        """The likelier label, such as `Female`."""
        return _likeliest(self.gender_probabilities)

    @property
    def gender_confidence(self) -> float:
        return self.gender_probabilities[self.gender]

    @cached_property
    def age(self) -> str:
        """The label of the likeliest group, such as `(25-32)`."""
        return _likeliest(self.age_probabilities)

    @property
    def age_confidence(self) -> float:
        return self.age_probabilities[self.age]


def _likeliest(probabilities: Mapping[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)
