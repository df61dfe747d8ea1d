"""What is known of a face: plain data, the same for the library, the service and the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from visage.images.boxes import Box


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
