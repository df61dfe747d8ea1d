"""JSON bodies as fields and files: whatever arrives, the result is bounded and the errors are expected ones."""

import base64
import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

    with measured() as peak, pytest.raises(BodyTooLarge):
        parse_json(body, PHOTO_FIELDS)

    assert peak() < 100_000


@pytest.mark.parametrize(("character", "times"), [("", 3), ("\N{GRINNING FACE}", 9)])
def test_a_photo_takes_a_known_multiple_of_its_body(character: str, times: int) -> None:
    body = f'{{"image":"{base64.b64encode(bytes(3_000_000)).decode()}","note":"{character}"}}'.encode()

    with measured() as peak:
        _, files = parse_json(body, PHOTO_FIELDS)

    assert len(files["image"].read()) == 3_000_000
    assert peak() < times * len(body)


def test_base64_with_many_spaces_takes_a_known_multiple_of_its_body() -> None:
    body = f'{{"image":"{1_000_000 * "AA "}"}}'.encode()

    with measured() as peak:
        _, files = parse_json(body, PHOTO_FIELDS)

    assert len(files["image"].read()) == 1_500_000
    assert peak() < 3 * len(body)


@contextmanager
def measured() -> Iterator[Callable[[], int]]:
    """Measure the memory of a block; the function that it gives returns the peak in bytes."""
    peaks: list[int] = []
    tracemalloc.start()
    try:
        yield lambda: peaks[0]
    finally:
        # Python forgets it with `stop`.
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (3, "3"), (0.5, "0.5"), ("auto", "auto"), ([[1, 2, 3, 4]], "[[1, 2, 3, 4]]")],
)
def test_a_value_becomes_the_text_that_a_form_would_have(value: Any, expected: str) -> None:
    fields, _ = parse_json(json.dumps({"name": value}).encode(), PHOTO_FIELDS)

    assert fields.to_dict() == {"name": expected}
