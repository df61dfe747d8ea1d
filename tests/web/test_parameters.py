"""What may stand in a parameter or an Accept header: any text at all is understood within its range, or named."""

from typing import Any

import pytest
from flask import Flask, request
from hypothesis import example, given, settings
from hypothesis import strategies as st

from visage.errors import BadParameter, NotAcceptable
from visage.faces.analyzer import Options
from visage.faces.search import Detail
from visage.web.parameters import Format, Wish, read_wish

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
# What a server can hand on of a header: Latin-1, without line ends.
HEADERS = ACCEPTS | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"))

properties = settings(derandomize=True, deadline=None, database=None, max_examples=300)

app = Flask(__name__)


def outcome(**arguments: Any) -> Wish | str:
    """The wish of a request, or the sentence that refuses it."""
    with app.test_request_context("/predict", method="POST", **arguments):
        try:
            return read_wish(request, Format.JSON)
        except (BadParameter, NotAcceptable) as error:
            return str(error)


def is_within_its_range(wish: Wish) -> bool:
    options = wish.options
    return (
        (options.min_confidence is None or 0.01 <= options.min_confidence <= 1)
        and (options.max_faces is None or 1 <= options.max_faces <= 1000)
        and 0 <= options.min_face_size <= 100_000
        and options.detail in Detail
        and wish.format in Format
        and wish.annotated in {True, False}
    )


@pytest.mark.parametrize("way", ["query_string", "data"])
@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_within_the_range_or_the_parameter_is_named(name: str, way: str) -> None:
    seen = set()

    @properties
    @given(TEXTS)
    def holds(text: str) -> None:
        result = outcome(**{way: {name: text}})
        seen.add(type(result))
        if isinstance(result, Wish):
            assert is_within_its_range(result)
        else:
            assert result.startswith(f"{name} is ")
            assert "; it must be " in result
            assert len(result) < 600

    holds()

    assert seen == {Wish, str}


@properties
@given(st.dictionaries(st.sampled_from(NAMES), TEXTS))
def test_any_texts_together_are_within_their_ranges_or_one_is_named(texts: dict[str, str]) -> None:
    result = outcome(query_string=texts)

    assert is_within_its_range(result) if isinstance(result, Wish) else result.split()[0] in texts


@properties
@given(st.floats(0.01, 1), st.integers(1, 1000), st.integers(0, 100_000))
def test_every_number_of_a_range_is_taken_as_it_is(min_confidence: float, max_faces: int, min_face_size: int) -> None:
    numbers = {"min_confidence": min_confidence, "max_faces": max_faces, "min_face_size": min_face_size}

    result = outcome(query_string=numbers)

    assert isinstance(result, Wish)
    assert result.options == Options(**numbers)  # type: ignore[arg-type]


@properties
@given(HEADERS)
@example("")
@example("application/json;q=0")
def test_any_accept_header_chooses_a_format_or_is_told_which_there_are(accept: str) -> None:
    result = outcome(headers={"Accept": accept})

    assert isinstance(result, Wish) or all(each.media_type in result for each in Format)


@properties
@given(HEADERS, st.sampled_from(Format))
def test_a_named_format_wins_over_any_accept_header(accept: str, named: Format) -> None:
    result = outcome(headers={"Accept": accept}, query_string={"format": named.value})

    assert isinstance(result, Wish)
    assert result.format is named
