"""Text from a query or a form as typed values within their ranges."""

import json
import math
from enum import Enum
from typing import Any, TypeGuard, TypeVar

from werkzeug.datastructures import MultiDict

from visage.errors import BadParameter
from visage.images.boxes import Box
from visage.images.decoding import MAX_SIDE

Member = TypeVar("Member", bound=Enum)

# As many as `max_faces` allows.
_MAX_BOXES = 1000

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
        if text is None:
            return ()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        boxes = [value] if _is_box(value) else value
        if not isinstance(boxes, list) or len(boxes) > _MAX_BOXES or not all(map(_is_box, boxes)):
            expected = f"at most {_MAX_BOXES} boxes such as [[10, 20, 60, 80]], with x1 < x2 and y1 < y2 in pixels"
            raise _invalid(name, text, expected)
        return tuple(Box(*box) for box in boxes)


def _is_box(value: Any) -> TypeGuard[list[int]]:
    if not isinstance(value, list) or len(value) != 4:
        return False
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= MAX_SIDE for each in value):
        return False
    x1, y1, x2, y2 = value
    return bool(x1 < x2 and y1 < y2)


def _invalid(name: str, text: str, expected: str) -> BadParameter:
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return BadParameter(f"{name} is {shown!r}; it must be {expected}.")
