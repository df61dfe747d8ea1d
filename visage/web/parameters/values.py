"""Text from a query or a form as typed values."""

from typing import TypeVar

from werkzeug.datastructures import MultiDict

from visage.errors import BadParameter
from visage.web.parameters.table import Parameter

T = TypeVar("T")
Default = TypeVar("Default")

# Characters of an invalid value that an error message repeats.
_MAX_SHOWN = 40


class ParameterValues:
    """The texts of parameters, each from the first source that has one. An empty text counts as missing."""

    def __init__(self, *sources: MultiDict[str, str]) -> None:
        self._texts: dict[str, str] = {}
        for source in reversed(sources):
            self._texts |= {name: text for name, text in source.items() if text}

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
            shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
            raise BadParameter(f"{parameter.name} is {shown!r}; it must be {parameter.kind.expected}.") from None
