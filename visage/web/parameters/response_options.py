"""The form of a response: the parameter `format`, else the header `Accept`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from flask import Request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from visage.errors import NotAcceptable
from visage.web.parameters import table
from visage.web.parameters.formats import Format, PictureFormat
from visage.web.parameters.values import ParameterValues

T = TypeVar("T")


@dataclass(frozen=True)
class ResponseOptions:
    """How to return an analysis. `annotated`: JSON includes the annotated picture."""

    format: Format
    annotated: bool

    @property
    def needs_picture(self) -> bool:
        """Whether the response includes the annotated picture."""
        return self.annotated or self.format is not Format.JSON


@dataclass(frozen=True)
class PictureResponseOptions:
    """How to return a changed picture. `picture`: JSON includes the picture."""

    format: PictureFormat
    picture: bool


def read_response_options(request: Request, default: Format) -> ResponseOptions:
    """Return the response options of `/predict` and `/analyze`.

    Raises:
        BadParameter: a value is invalid.
        NotAcceptable: the service has none of the types in `Accept`.
    """
    values = ParameterValues(table.ANALYSIS, request.args, request.form)
    offered = {each.media_type: each for each in (default, *Format)}
    chosen = values.read(table.FORMAT) or _negotiate(request, offered)
    return ResponseOptions(chosen, values.read(table.ANNOTATED))


def read_anonymize_response_options(request: Request, media_type: str) -> PictureResponseOptions:
    """Return the response options of `/anonymize`, whose picture has this media type.

    Raises:
        BadParameter: a value is invalid.
        NotAcceptable: the service has none of the types in `Accept`.
    """
    values = ParameterValues(table.ANONYMIZATION, request.args, request.form)
    offered = {media_type: PictureFormat.PICTURE, "application/json": PictureFormat.JSON}
    chosen = values.read(table.PICTURE_FORMAT) or _negotiate(request, offered)
    return PictureResponseOptions(chosen, values.read(table.PICTURE))


def read_enhance_response_options(request: Request, media_type: str) -> PictureResponseOptions:
    """Return the response options of `/enhance`, whose picture has this media type.

    Raises:
        BadParameter: a value is invalid.
        NotAcceptable: the service has none of the types in `Accept`.
    """
    values = ParameterValues(table.ENHANCEMENT, request.args, request.form)
    offered = {
        media_type: PictureFormat.PICTURE,
        "application/json": PictureFormat.JSON,
        "text/event-stream": PictureFormat.EVENTS,
    }
    chosen = values.read(table.ENHANCE_FORMAT) or _negotiate(request, offered)
    return PictureResponseOptions(chosen, values.read(table.PICTURE))


def _negotiate(request: Request, offered: Mapping[str, T]) -> T:
    """Return the format whose media type the request prefers; the first one offered if it has no preference."""
    types = tuple(offered)
    best = _best_match(request.headers.get("Accept", ""), types)
    if best is None:
        raise NotAcceptable(f"No type in Accept is available; ask for {_one_of(types)}.")
    return offered[best]


# Clients send few different headers, and parsing one takes longer than reading all other parameters.
@lru_cache(maxsize=64)
def _best_match(accept: str, offered: tuple[str, ...]) -> str | None:
    wanted = parse_accept_header(accept, MIMEAccept)
    if not wanted:
        return offered[0]
    # Without parameters of a media type, such as a charset.
    plain = MIMEAccept([(value.partition(";")[0].strip(), quality) for value, quality in wanted])
    return plain.best_match(offered)


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
