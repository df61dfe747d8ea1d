"""An operation as a row of the tables, and what most rows share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visage.json_types import as_json_types
from visage.web.openapi import errors
from visage.web.openapi.errors import ErrorResponse
from visage.web.openapi.media import JSON
from visage.web.parameters.table import Parameters

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Success:
    """The response of an operation that succeeds. `content` describes its body by media type."""

    description: str
    content: Content = field(default_factory=dict)
    headers: Content = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True)
class Body:
    """The body of a request. `content` describes it by media type."""

    description: str
    content: Content


@dataclass(frozen=True)
class Operation:
    """A row. `headers` and `in_path` name parameters of the request that are not in the query."""

    method: str
    path: str
    name: str
    summary: str
    successes: tuple[Success, ...]
    errors: tuple[ErrorResponse, ...]
    description: str = ""
    parameters: Parameters = ()
    in_path: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    body: Body | None = None
    needs_token: bool = True


# Errors of every operation that needs a token.
COMMON_ERRORS = (
    errors.UNAUTHORIZED,
    errors.BODY_TIMEOUT,
    errors.ADDRESS_TOO_LONG,
    errors.HOST_NOT_ALLOWED,
    errors.HEADERS_TOO_LONG,
    errors.INTERNAL_ERROR,
)


def json_content(schema: str, sample: Any) -> Content:
    """Return JSON as the content of a response; `schema` is its name in the document."""
    return {JSON: {"schema": schema, "example": as_json_types(sample)}}
