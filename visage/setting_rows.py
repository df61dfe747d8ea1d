"""The rows of a table of settings: fields of a dataclass with a variable, a kind of value and a meaning."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from visage.setting_values import Kind

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One setting as people see it: its variable, its default in words and its meaning."""

    field: str
    name: str
    kind: Kind[Any]
    default: str
    help: str


def row(name: str, kind: Kind[T], default: T | Callable[[], T], help: str, default_text: str | None = None) -> T:
    """One row of the table. `default_text` is the default as people see it, if not the value itself."""
    metadata = {"name": name, "kind": kind, "help": help, "default_text": default_text}
    made: Any = (
        field(default_factory=default, metadata=metadata)
        if callable(default)
        else field(default=default, metadata=metadata)
    )
    return made  # type: ignore[no-any-return]


def rows_of(table: Any) -> list[Row]:
    """The rows of a dataclass whose fields are all made by `row`, in order."""
    return [_as_row(each) for each in fields(table)]


def _as_row(each: "Field[Any]") -> Row:
    default = each.metadata["default_text"]
    if default is None:
        default = "none" if each.default in ("", ()) else str(each.default)
    return Row(each.name, each.metadata["name"], each.metadata["kind"], default, each.metadata["help"])
