"""The rows of a table of settings: fields of a dataclass with a variable, a kind of value and a meaning."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from visage.errors import SettingsError
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


def read_values(rows: Iterable[Row], environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the settings of `rows` that `environment` has and that are not empty, by their fields.

    Raises:
        SettingsError: a value is invalid. The message names the variable, the value unless it is secret, and what is
            valid.
    """
    values: dict[str, Any] = {}
    for each in rows:
        text = environment.get(each.name, "").strip()
        if not text:
            continue
        try:
            values[each.field] = each.kind.parse(text)
        except ValueError:
            found = each.name if each.kind.secret else f"{each.name} is {text!r}; it"
            raise SettingsError(f"{found} must be {each.kind.description}.") from None
    return values


def _as_row(each: "Field[Any]") -> Row:
    default = each.metadata["default_text"]
    if default is None:
        default = "none" if each.default in ("", ()) else str(each.default)
    return Row(each.name, each.metadata["name"], each.metadata["kind"], default, each.metadata["help"])
