"""What the options of the library, the service and the commands accept. Each option has one constant for all three."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real

from visage.errors import BadParameter


@dataclass(frozen=True)
class NumberRange:
    """The numbers from `minimum` to `maximum`."""

    minimum: float
    maximum: float

    def __contains__(self, value: object) -> bool:
        # NaN is in no range.
        return isinstance(value, Real) and self.minimum <= float(value) <= self.maximum

    def __str__(self) -> str:
        return f"a number from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True)
class IntegerRange:
    """The whole numbers from `minimum` to `maximum`."""

    minimum: int
    maximum: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Integral) and self.minimum <= int(value) <= self.maximum

    def __str__(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum}"


# The confidence thresholds for faces. At 0, every box that a net proposes would be a face.
CONFIDENCE_RANGE = NumberRange(0.01, 1)


def check_number(name: str, value: object, accepted: NumberRange | IntegerRange) -> None:
    """Raise BadParameter if the value of the option `name` is not in the range `accepted`."""
    if value not in accepted:
        raise BadParameter(f"{name} is {value!r}; it must be {accepted}.")


def check_choice(name: str, value: object, choices: Iterable[Enum | float]) -> None:
    """Raise BadParameter if the value of the option `name` is none of `choices`."""
    accepted = tuple(choices)
    if value not in accepted:
        names = (str(each) if isinstance(each, Enum) else f"{each:g}" for each in accepted)
        raise BadParameter(f"{name} is {value!r}; it must be one of {', '.join(names)}.")
