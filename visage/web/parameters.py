"""What a caller can ask for, in the query or in the form; a value that does not fit is named with its range."""

import json
import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, TypeGuard, TypeVar

from flask import Request
from werkzeug.datastructures import MIMEAccept, MultiDict
from werkzeug.http import parse_accept_header

from visage.anonymize.masks import Mask
from visage.anonymize.search import GuardOptions
from visage.batches.batch import BatchOptions, Task
from visage.enhance.results import EnhanceOptions
from visage.errors import BadParameter, NotAcceptable
from visage.faces.analyzer import Options
from visage.images.boxes import Box
from visage.images.decoding import LONGEST_SIDE

Member = TypeVar("Member", bound=Enum)

# As many faces as a photo may be asked for.
_MOST_BOXES = 1000


class Format(Enum):
    """The forms of an answer and their media types."""

    JSON = "json"
    JPEG = "jpeg"
    BOTH = "both"

    @property
    def media_type(self) -> str:
        return {"json": "application/json", "jpeg": "image/jpeg", "both": "multipart/mixed"}[self.value]


@dataclass(frozen=True)
class Wish:
    """A caller's wish: how to look, and what to answer."""

    options: Options
    format: Format
    annotated: bool


def read_wish(request: Request, default: Format) -> Wish:
    """The parameters of a request.

    Raises:
        BadParameter: a value is not one of those that fit; the sentence names them.
        NotAcceptable: none of the types in `Accept` can be given.
    """
    accept = request.headers.get("Accept", "")
    if request.query_string or request.form:
        return _wish(_Parameters(request.args, request.form), accept, default)
    return _plain_wish(accept, default)


# Most callers ask for nothing in particular, and there are few kinds of them.
@lru_cache(maxsize=64)
def _plain_wish(accept: str, default: Format) -> Wish:
    return _wish(_Parameters(), accept, default)


def _wish(parameters: "_Parameters", accept: str, default: Format) -> Wish:
    return Wish(
        options=_options(parameters),
        format=_format(parameters, accept, default),
        annotated=parameters.truth("annotated", default=True),
    )


class PictureFormat(Enum):
    """The forms of an answer with a picture that was made of the photo: as a file, or as base64 in JSON."""

    PICTURE = "picture"
    JSON = "json"


@dataclass(frozen=True)
class PictureWish:
    """How a picture that was made of the photo is to be answered; `picture` tells whether JSON has it inside."""

    format: PictureFormat
    picture: bool


def read_picture_wish(request: Request, media_type: str) -> PictureWish:
    """How a picture is to be answered that would be of `media_type`, as the photo is.

    Raises:
        BadParameter: a value is not one of those that fit; the sentence names them.
        NotAcceptable: none of the types in `Accept` can be given.
    """
    parameters = _Parameters(request.args, request.form)
    chosen = parameters.choice("format", PictureFormat)
    if chosen is None:
        best = _best_type(request.headers.get("Accept", ""), (media_type, "application/json"))
        if best is None:
            raise NotAcceptable(f"None of the types in Accept can be given; ask for {media_type} or application/json.")
        chosen = PictureFormat.JSON if best == "application/json" else PictureFormat.PICTURE
    return PictureWish(chosen, parameters.truth("picture", default=True))


def read_guard_options(request: Request) -> GuardOptions:
    """What is to be covered, and how.

    Raises:
        BadParameter: a value is not one of those that fit; the sentence names them.
    """
    return _guard_options(_Parameters(request.args, request.form))


def read_batch_options(*sources: MultiDict[str, str]) -> BatchOptions:
    """What is to be done to each photo of a batch; the first of `sources` that has a value counts.

    Raises:
        BadParameter: a value is not one of those that fit; the sentence names them.
    """
    parameters = _Parameters(*sources)
    if parameters.boxes("keep"):
        raise BadParameter("keep is for single photos; boxes of one photo say nothing of the others.")
    match parameters.member("task", Task.ANONYMIZE):
        case Task.ANONYMIZE:
            return _guard_options(parameters)
        case Task.PREDICT:
            return _options(parameters)
        case Task.ENHANCE:
            return EnhanceOptions()


def wants_files(request: Request) -> bool:
    """Whether a batch is asked for with each of its files."""
    return _Parameters(request.args).truth("files", default=True)


def _options(parameters: "_Parameters") -> Options:
    return Options(
        min_confidence=parameters.number("min_confidence", 0.01, 1),
        max_faces=parameters.integer("max_faces", 1, 1000),
        min_face_size=parameters.integer("min_face_size", 0, 100_000) or 0,
        detail=parameters.member("detail", Options.detail),
        enhance_faces=parameters.truth("enhance_faces", default=False),
    )


def _guard_options(parameters: "_Parameters") -> GuardOptions:
    scale = parameters.number("mask_scale", 1, 3)
    return GuardOptions(
        mask=Mask(
            parameters.member("method", Mask.method),
            parameters.member("shape", Mask.shape),
            Mask.scale if scale is None else scale,
        ),
        min_confidence=parameters.number("min_confidence", 0.01, 1),
        keep=parameters.boxes("keep"),
        detail=parameters.member("detail", GuardOptions.detail),
    )


def _format(parameters: "_Parameters", accept: str, default: Format) -> Format:
    best = parameters.choice("format", Format) or _best_format(accept, default)
    if best is None:
        raise NotAcceptable(
            "None of the types in Accept can be given; ask for application/json, image/jpeg or multipart/mixed."
        )
    return best


def _best_format(accept: str, default: Format) -> Format | None:
    """What an Accept header likes best."""
    offered = [default, *(each for each in Format if each is not default)]
    best = _best_type(accept, tuple(each.media_type for each in offered))
    return next((each for each in offered if each.media_type == best), None)


@lru_cache(maxsize=64)
def _best_type(accept: str, offered: tuple[str, ...]) -> str | None:
    """What an Accept header likes best; there are few, and reading one takes longer than all other parameters."""
    wanted = parse_accept_header(accept, MIMEAccept)
    if not wanted:
        return offered[0]
    # Parameters such as a charset choose nothing here.
    plain = MIMEAccept([(value.partition(";")[0].strip(), quality) for value, quality in wanted])
    return plain.best_match(offered)


class _Parameters:
    """Reads named values out of the query, else out of the form. An empty value counts as not given."""

    def __init__(self, *sources: MultiDict[str, str]) -> None:
        self._values: dict[str, str] = {}
        for source in reversed(sources):
            self._values |= {name: value for name, value in source.items() if value}

    def truth(self, name: str, *, default: bool) -> bool:
        text = self._values.get(name)
        if text not in {None, "true", "false"}:
            raise _misfit(name, text, "one of true, false")
        return default if text is None else text == "true"

    def member(self, name: str, default: Member) -> Member:
        """A member of the default's kind, by its value."""
        return self.choice(name, type(default)) or default

    def choice(self, name: str, kind: type[Member]) -> Member | None:
        """A member of `kind`, by its value."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            raise _misfit(name, text, f"one of {', '.join(each.value for each in kind)}") from None

    def number(self, name: str, least: float, most: float) -> float | None:
        text = self._values.get(name)
        if text is None:
            return None
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise _misfit(name, text, f"a number from {least:g} to {most:g}")
        return value

    def integer(self, name: str, least: int, most: int) -> int | None:
        text = self._values.get(name)
        if text is None:
            return None
        # Shorter than any number that int() would refuse or take long for.
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
        if not least <= value <= most:
            raise _misfit(name, text, f"a whole number from {least} to {most}")
        return value

    def boxes(self, name: str) -> tuple[Box, ...]:
        text = self._values.get(name)
        if text is None:
            return ()
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        listed = [value] if _is_box(value) else value
        if not isinstance(listed, list) or len(listed) > _MOST_BOXES or not all(map(_is_box, listed)):
            wanted = f"at most {_MOST_BOXES} boxes such as [[10, 20, 60, 80]], with x1 < x2 and y1 < y2 in pixels"
            raise _misfit(name, text, wanted)
        return tuple(Box(*box) for box in listed)


def _is_box(value: Any) -> TypeGuard[list[int]]:
    if not isinstance(value, list) or len(value) != 4:
        return False
    if not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= LONGEST_SIDE for each in value):
        return False
    x1, y1, x2, y2 = value
    return bool(x1 < x2 and y1 < y2)


def _misfit(name: str, text: str, wanted: str) -> BadParameter:
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return BadParameter(f"{name} is {shown!r}; it must be {wanted}.")
