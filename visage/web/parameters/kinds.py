"""The kinds of values that parameters may have: each parses text, and says what is valid to people and to programs."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

from visage.anonymize.face_boxes import read_boxes
from visage.images.boxes import Box
from visage.ranges import IntegerRange, NumberRange

T = TypeVar("T")
Member = TypeVar("Member", bound=Enum)
Schema = dict[str, Any]

# `True` and `False` are how generated Python clients write booleans in forms.
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of value.

    `parse` raises ValueError for invalid text. `expected` completes "it must be". `schema` is the JSON Schema of the
    value in a query or a form; `json_schema` that in a JSON body, if it differs.
    """

    parse: Callable[[str], T]
    expected: str
    schema: Schema
    json_schema: Schema | None = None


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError from None


BOOLEAN = Kind(_parse_boolean, "one of true, false", {"type": "boolean"})


def choice(members: Iterable[Member]) -> Kind[Member]:
    """The values of an enum, or of some of its members."""
    named = {str(each.value): each for each in members}

    def parse(text: str) -> Member:
        try:
            return named[text]
        except KeyError:
            raise ValueError from None

    return Kind(parse, f"one of {', '.join(named)}", {"type": "string", "enum": list(named)})


def number(accepted: NumberRange) -> Kind[float]:
    """Decimal numbers of a range."""

    def parse(text: str) -> float:
        # float() would accept underscores between digits.
        value = math.nan if "_" in text else float(text)
        if value not in accepted:
            raise ValueError
        return value

    schema = {"type": "number", "minimum": accepted.minimum, "maximum": accepted.maximum}
    return Kind(parse, str(accepted), schema)


def one_of(*numbers: float) -> Kind[float]:
    """Some numbers."""

    def parse(text: str) -> float:
        value = math.nan if "_" in text else float(text)
        if value not in numbers:
            raise ValueError
        return value

    # Strings, because generators of clients refuse enumerations of fractions.
    names = [f"{each:g}" for each in numbers]
    return Kind(parse, f"one of {', '.join(names)}", {"type": "string", "enum": names})


def integer(accepted: IntegerRange) -> Kind[int]:
    """Whole numbers of a range, whose minimum is 0 or more."""

    def parse(text: str) -> int:
        # int() is slow for thousands of digits, and refuses more than 4300.
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
        if value not in accepted:
            raise ValueError
        return value

    schema = {"type": "integer", "minimum": accepted.minimum, "maximum": accepted.maximum}
    return Kind(parse, str(accepted), schema)


def boxes(name: str) -> Kind[tuple[Box, ...]]:
    """Boxes as JSON, for the parameter `name`: one `[x1, y1, x2, y2]` in pixels, or a list of them.

    `parse` raises `BadParameter` itself, with a sentence that says which box is invalid.
    """
    in_json = {
        "type": "array",
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
        "examples": [[[177, 62, 269, 174]]],
    }
    return Kind(partial(read_boxes, name), "boxes", {"type": "string", "examples": ["[[177, 62, 269, 174]]"]}, in_json)
