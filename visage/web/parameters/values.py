"""Text from a query or a form as typed values."""

from collections.abc import Callable, Iterable, Set
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import request
from werkzeug.datastructures import MultiDict

from visage.errors import BadParameter
from visage.web.parameters.table import Parameter, Parameters

T = TypeVar("T")
Default = TypeVar("Default")
Arguments = ParamSpec("Arguments")

# Characters of an invalid name or value that an error message repeats.
_MAX_SHOWN = 40


class ParameterValues:
    """The texts of parameters, each from the first source that has one. An empty text counts as missing."""

    def __init__(self, parameters: Parameters, *sources: MultiDict[str, str]) -> None:
        """Read the `parameters` of an operation.

        Raises:
            BadParameter: a source has a name that is none of theirs, or one with several texts.
        """
        self._texts: dict[str, str] = {}
        for source in reversed(sources):
            reject_unknown(source, parameters)
            for name, texts in source.lists():
                given = [text for text in texts if text]
                if len(given) > 1:
                    raise BadParameter(
                        f"{name} occurs {len(given)} times; send it once, with everything that it should have."
                    )
                if given:
                    self._texts[name] = given[0]

    @property
    def names(self) -> Set[str]:
        """The names of the parameters that are not missing."""
        return self._texts.keys()

    def read(self, parameter: Parameter[T, Default]) -> T | Default:
        """Return the value of `parameter`, or its default if it is missing.

        Raises:
            BadParameter: the value is invalid.
        """
        text = self._texts.get(parameter.name)
        if text is None:
            return parameter.default
        try:
            return parameter.kind.parse(text)
        except ValueError:
            raise BadParameter(
                f"{parameter.name} is {_shortened(text)!r}; it must be {parameter.kind.expected}."
            ) from None


def without_parameters(view: Callable[Arguments, T]) -> Callable[Arguments, T]:
    """Decorate a view whose operation has no parameters. Put it below the route's decorator."""

    @wraps(view)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> T:
        reject_unknown(request.args, ())
        return view(*args, **kwargs)

    return checked


def reject_unknown(names: Iterable[str], parameters: Parameters) -> None:
    """Raise BadParameter for the first of `names` that is no parameter, with the nearest name of one."""
    known = [each.name for each in parameters]
    for name in names:
        if name not in known:
            raise BadParameter(_unknown(_shortened(name), known))


def _unknown(name: str, known: list[str]) -> str:
    shown = f"Unknown parameter {name if name.isidentifier() else repr(name)}."
    if not known:
        return f"{shown} This operation has no parameters."
    nearest = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    if nearest:
        return f"{shown} Did you mean {nearest[0]}?"
    return f"{shown} The parameters of this operation are {', '.join(known)}."


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
