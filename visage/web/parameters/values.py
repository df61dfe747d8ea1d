"""Text from a query or a form as typed values within their ranges."""

import math
from enum import Enum
from typing import TypeVar

from werkzeug.datastructures import MultiDict

from visage.anonymize.face_boxes import read_boxes
from visage.errors import BadParameter
from visage.images.boxes import Box

Member = TypeVar("Member", bound=Enum)

# Characters of an invalid value that an error message repeats.
_MAX_SHOWN = 40


class ParameterValues:
    """Named values, each from the first source that has one. An empty value counts as missing.

    Every method raises `BadParameter` for a value outside its range.
    """

    def __init__(self, *sources: MultiDict[str, str]) -> None:
        self._values: dict[str, str] = {}
        for source in reversed(sources):
            self._values |= {name: value for name, value in source.items() if value}

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self._values.get(name)
        if text not in {None, "true", "false"}:
            raise _invalid(name, text, "one of true, false")
        return default if text is None else text == "true"

    def choice(self, name: str, default: Member) -> Member:
        """Return the member of the default's enum that has this value."""
        return self.optional_choice(name, type(default)) or default

    def optional_choice(self, name: str, kind: type[Member]) -> Member | None:
        """Return the member of `kind` that has this value, or None if the parameter is missing."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            raise _invalid(name, text, f"one of {', '.join(each.value for each in kind)}") from None

    def number(self, name: str, minimum: float, maximum: float) -> float | None:
        text = self._values.get(name)
        if text is None:
            return None
        try:
            # float() would accept underscores between digits.
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value <= maximum:
            raise _invalid(name, text, f"a number from {minimum:g} to {maximum:g}")
        return value

    def integer(self, name: str, minimum: int, maximum: int) -> int | None:
        text = self._values.get(name)
        if text is None:
            return None
        # int() is slow for thousands of digits, and refuses more than 4300.
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
        if not minimum <= value <= maximum:
            raise _invalid(name, text, f"a whole number from {minimum} to {maximum}")
        return value

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Return boxes from JSON: one `[x1, y1, x2, y2]` in pixels, or a list of them; () if missing."""
        text = self._values.get(name)
        return () if text is None else read_boxes(name, text)


def _invalid(name: str, text: str, expected: str) -> BadParameter:
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return BadParameter(f"{name} is {shown!r}; it must be {expected}.")
