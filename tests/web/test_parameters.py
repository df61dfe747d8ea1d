"""Any text in a parameter or an Accept header gives a value in range or an error that says what is allowed."""

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visage.errors import BadParameter, NotAcceptable
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.web.parameters import Format, ResponseOptions, read_analyze_options, read_response_options

NAMES = ("min_confidence", "max_faces", "min_face_size", "detail", "format", "annotated")

NUMBERS = st.one_of(st.integers(), st.floats(), st.floats(0, 1), st.integers(0, 100_001)).map(str)
ODD = st.sampled_from(
    ["nan", "-inf", "1e-2", "1_0", "٣", "²", " 1", "1\n", "+1", "0x1", "1" * 5000, "true", "FAST", "\0"]
)
TEXTS = st.one_of(st.text(), NUMBERS, ODD, st.sampled_from(["fast", "auto", "high", "json", "jpeg", "both", "false"]))

TYPES = st.sampled_from(
    ["application/json", "image/jpeg", "multipart/mixed", "image/*", "*/*", "text/html", "*", "a/b/c"]
)
QUALITIES = st.sampled_from(
    ["", ";q=0", ";q=0.5", ";q=1e999", ";q=nan", ";q=-1", ";q=", ";charset=utf-8;q=0.1", ";;", '="']
)
ACCEPTS = st.lists(st.builds(str.__add__, TYPES, QUALITIES), max_size=4).map(", ".join)
# Header values that a server can pass on: Latin-1 without line ends.
HEADERS = ACCEPTS | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"))

properties = settings(derandomize=True, deadline=None, database=None, max_examples=300)

app = Flask(__name__)


@dataclass(frozen=True)
class Parsed:
    """All parameters of a request to `/predict`."""

    options: AnalyzeOptions
    response: ResponseOptions


def parse(**arguments: Any) -> Parsed | str:
    """Return the parameters of a request, or the message of the error."""
    with app.test_request_context("/predict", method="POST", **arguments):
        try:
            return Parsed(read_analyze_options(request), read_response_options(request, Format.JSON))
        except (BadParameter, NotAcceptable) as error:
            return str(error)


def is_in_range(parsed: Parsed) -> bool:
    options = parsed.options
    return (
        (options.min_confidence is None or 0.01 <= options.min_confidence <= 1)
        and (options.max_faces is None or 1 <= options.max_faces <= 1000)
        and 0 <= options.min_face_size <= 100_000
        and options.detail in Detail
        and parsed.response.format in Format
        and parsed.response.annotated in {True, False}
    )


@pytest.mark.parametrize("place", ["query_string", "data"])
@pytest.mark.parametrize("name", NAMES)
def test_any_text_gives_a_value_in_range_or_an_error_that_names_the_parameter(name: str, place: str) -> None:
    seen = set()

    @properties
    @given(TEXTS)
    def holds(text: str) -> None:
        result = parse(**{place: {name: text}})
        seen.add(type(result))
        if isinstance(result, Parsed):
            assert is_in_range(result)
        else:
            assert result.startswith(f"{name} is ")
            assert "; it must be " in result
            assert len(result) < 600

    holds()

    assert seen == {Parsed, str}


@properties
@given(st.dictionaries(st.sampled_from(NAMES), TEXTS))
def test_any_texts_together_give_values_in_range_or_an_error_that_names_one(texts: dict[str, str]) -> None:
    result = parse(query_string=texts)

    assert is_in_range(result) if isinstance(result, Parsed) else result.split()[0] in texts


@properties
@given(st.floats(0.01, 1), st.integers(1, 1000), st.integers(0, 100_000))
def test_every_number_in_range_is_used_unchanged(min_confidence: float, max_faces: int, min_face_size: int) -> None:
    numbers = {"min_confidence": min_confidence, "max_faces": max_faces, "min_face_size": min_face_size}

    result = parse(query_string=numbers)

    assert isinstance(result, Parsed)
    assert result.options == AnalyzeOptions(**numbers)  # type: ignore[arg-type]


@properties
@given(HEADERS)
@example("")
@example("application/json;q=0")
def test_any_accept_header_selects_a_format_or_the_error_lists_all_formats(accept: str) -> None:
    result = parse(headers={"Accept": accept})

    assert isinstance(result, Parsed) or all(each.media_type in result for each in Format)


@properties
@given(HEADERS, st.sampled_from(Format))
def test_the_format_parameter_wins_over_any_accept_header(accept: str, named: Format) -> None:
    result = parse(headers={"Accept": accept}, query_string={"format": named.value})

    assert isinstance(result, Parsed)
    assert result.response.format is named
