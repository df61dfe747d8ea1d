"""The JSON of results and responses: frozen dataclasses say what is in it.

`openapi.json` describes it from the same classes, whose names end in `Json`. The string below a field describes it.
"""

from collections.abc import Callable
from typing import Annotated, Any

Schema = dict[str, Any]


class JsonSchema:
    """Keywords of JSON Schema that a type has besides its own, as metadata of `Annotated`."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Callable[[Any], Schema]) -> Schema:
        """Add the keywords where pydantic describes the type; it is needed for `make openapi` only."""
        return handler(core_schema) | self._keywords


Probability = Annotated[float, JsonSchema(minimum=0, maximum=1)]
Count = Annotated[int, JsonSchema(minimum=0)]
Side = Annotated[int, JsonSchema(minimum=1)]
Milliseconds = Annotated[float, JsonSchema(minimum=0)]
Corners = tuple[Count, Count, Count, Count]
Point = tuple[float, float]
FileFormat = Annotated[str, JsonSchema(enum=["JPEG", "PNG", "WebP", "BMP"])]
PhotoFormat = Annotated[str, JsonSchema(enum=["JPEG", "PNG", "WebP", "HEIC", "AVIF", "TIFF", "BMP"])]
Base64 = Annotated[str, JsonSchema(contentEncoding="base64")]


def as_json_types(value: Any) -> Any:
    """Return a dataclass as a dict without the fields that are None, and so on for the lists and dataclasses in it.

    Tuples and mappings hold plain values; a tuple becomes a list. `dataclasses.asdict` keeps None, and takes ten times
    as long.
    """
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, list):
        return [as_json_types(each) for each in value]
    # `is_dataclass` takes longer than all the rest.
    if not hasattr(value, "__dataclass_fields__"):
        return value
    return {name: as_json_types(each) for name, each in vars(value).items() if each is not None}
