"""JSON bodies as fields and files: whatever arrives, the result is bounded and the errors are expected ones."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.memory import traced
from visage.errors import BodyTooLarge, RequestError
from visage.web.form_parser import PHOTO_FIELDS
from visage.web.json_body import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from([*PHOTO_FIELDS, "max_faces"]) | st.text()


@settings(max_examples=50, deadline=None)
@given(st.binary() | st.dictionaries(NAMES, VALUES).map(lambda value: json.dumps(value).encode()))
def test_any_body_gives_fields_or_an_expected_error(body: bytes) -> None:
    try:
        fields, files = parse_json(body, PHOTO_FIELDS)
    except RequestError:
        return
    assert all(isinstance(value, str) for value in fields.values())
    assert set(files) <= set(PHOTO_FIELDS)


@pytest.mark.parametrize("repeated", [b"[],", b"[", b'{"":', b'"",', b"0,"])
def test_a_body_of_many_values_takes_no_memory(repeated: bytes) -> None:
    body = b'{"image":[' + 1_000_000 * repeated

    with traced() as peak, pytest.raises(BodyTooLarge):
        parse_json(body, PHOTO_FIELDS)

    assert peak() < 100_000


@pytest.mark.parametrize("note", ["", "\N{GRINNING FACE}", r"\ud83d"], ids=["ASCII", "an emoji", "an escape"])
def test_a_photo_takes_less_memory_than_its_body(note: str) -> None:
    body = f'{{"image":"{base64.b64encode(bytes(3_000_000)).decode()}","note":"{note}"}}'.encode()

    with traced() as peak:
        _, files = parse_json(body, PHOTO_FIELDS)

    assert len(files["image"].read()) == 3_000_000
    assert peak() < len(body)


# The escapes of PHP, of .NET, of Gson, and lines as `base64` writes them.
@pytest.mark.parametrize(
    "escapes", [{"/": r"\/"}, {"+": r"\u002B"}, {"+": r"\u002b", "=": r"\u003d"}, {"/": r"\/\r\n"}], ids=str
)
def test_base64_may_be_escaped(escapes: dict[str, str]) -> None:
    photo = bytes(range(256)) * 2000 + b"x"
    text = base64.b64encode(photo).decode()
    for character, escape in escapes.items():
        text = text.replace(character, escape)
    body = f'{{"image":"{text}"}}'.encode()

    with traced() as peak:
        _, files = parse_json(body, PHOTO_FIELDS)

    assert files["image"].read() == photo
    assert peak() < 3 * len(body)


@pytest.mark.parametrize("piece", [r"ab\/", r"\/", r"\u0041", r"\n", 2 * "\\"])
def test_a_photo_of_many_escapes_takes_a_known_multiple_of_its_body(piece: str) -> None:
    body = b'{"image":"' + 1_000_000 * piece.encode() + b'"}'

    with traced() as peak, suppress(RequestError):
        parse_json(body, PHOTO_FIELDS)

    assert peak() < 3 * len(body)


def test_escapes_that_are_not_closed_take_no_time() -> None:
    with pytest.raises(RequestError, match="not valid JSON"):
        parse_json(b'{"image":"' + 10_000_000 * b'\\"', PHOTO_FIELDS)


def test_base64_with_many_spaces_takes_a_known_multiple_of_its_body() -> None:
    body = f'{{"image":"{1_000_000 * "AA "}"}}'.encode()

    with traced() as peak:
        _, files = parse_json(body, PHOTO_FIELDS)

    assert len(files["image"].read()) == 1_500_000
    assert peak() < 3 * len(body)


def test_a_data_url_may_be_long() -> None:
    photo = bytes(300_000)

    _, files = parse_json(b'{"image":"data:image/jpeg;base64,' + base64.b64encode(photo) + b'"}', PHOTO_FIELDS)

    assert files["image"].read() == photo


def test_long_texts_that_are_no_photo_are_shortened() -> None:
    long = 300_000 * "x"

    fields, files = parse_json(json.dumps({"note": long, "nested": [{long: long}]}).encode(), PHOTO_FIELDS)

    assert fields.to_dict() == {"note": "…", "nested": '[{"…": "…"}]'}
    assert not files


@pytest.mark.parametrize("size", [2**18 - 3, 2**18])
def test_a_line_break_that_is_not_escaped_is_invalid_in_texts_of_any_length(size: int) -> None:
    with pytest.raises(RequestError, match="not valid JSON"):
        parse_json(b'{"image":"' + size * b"A" + b'\n"}', PHOTO_FIELDS)


def test_many_short_texts_are_rejected() -> None:
    body = json.dumps({f"name{number}": 200_000 * "x" for number in range(6)}).encode()

    with pytest.raises(BodyTooLarge, match="too many or too long values"):
        parse_json(body, PHOTO_FIELDS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (3, "3"), (0.5, "0.5"), ("auto", "auto"), ([[1, 2, 3, 4]], "[[1, 2, 3, 4]]")],
)
def test_a_value_becomes_the_text_that_a_form_would_have(value: Any, expected: str) -> None:
    fields, _ = parse_json(json.dumps({"name": value}).encode(), PHOTO_FIELDS)

    assert fields.to_dict() == {"name": expected}
