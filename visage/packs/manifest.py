"""The tables of a `pack.toml`. Their values are checked when they are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from visage.errors import PackError


@dataclass(frozen=True)
class ManifestTable:
    """A table of the file `manifest`. `name` is its dotted name, empty for the top level.

    The methods that read a value raise PackError if it is missing or invalid. The message names file, key and the valid
    kind.
    """

    manifest: Path
    name: str
    content: Mapping[str, Any]

    def fault(self, key: str, expected: str) -> PackError:
        """The error for a missing or invalid value of `key`. `expected` describes the valid values."""
        where = f"[{self.name}] {key}" if self.name else key
        found = f"is {self.content[key]!r}" if key in self.content else "is missing"
        return PackError(f"{self.manifest}: {where} {found}; it must be {expected}.")

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> "ManifestTable":
        content = self.content.get(key, default)
        if not isinstance(content, Mapping):
            raise self.fault(key, "a table")
        return ManifestTable(self.manifest, f"{self.name}.{key}" if self.name else key, content)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.content.get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.fault(key, "text")
        return value

    def number(self, key: str, above: float, maximum: float) -> float:
        value = self.content.get(key)
        if not _is_number(value) or not above < value <= maximum:
            raise self.fault(key, f"a number above {above:g} and at most {maximum:g}")
        return float(value)

    def integer(self, key: str, minimum: int = 0, maximum: int | None = None) -> int:
        value = self.content.get(key)
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < minimum
            or (maximum is not None and value > maximum)
        ):
            raise self.fault(
                key, "a whole number" if maximum is None else f"a whole number from {minimum} to {maximum}"
            )
        return value

    def flag(self, key: str) -> bool:
        value = self.content.get(key)
        if not isinstance(value, bool):
            raise self.fault(key, "true or false")
        return value

    def list_of(self, key: str, kind: type, length: int | None = None) -> list[Any]:
        value = self.content.get(key)
        is_valid = _is_number if kind is float else lambda each: isinstance(each, kind) and not isinstance(each, bool)
        if not isinstance(value, list) or length not in (None, len(value)) or not all(map(is_valid, value)):
            word = {str: "texts", int: "whole numbers", float: "numbers"}[kind]
            raise self.fault(key, f"a list of {f'{length} ' if length else ''}{word}")
        return [kind(each) for each in value]

    def pairs(self, key: str) -> list[tuple[int, int]]:
        value = self.content.get(key)
        if not isinstance(value, list) or not all(map(_is_range, value)):
            raise self.fault(key, "a list of [first, last] years")
        return [(first, last) for first, last in value]


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(year, int) and not isinstance(year, bool) for year in value)
        and 0 <= value[0] <= value[1]
    )
