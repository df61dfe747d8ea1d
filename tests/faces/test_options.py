"""The options of an analysis check themselves."""

from typing import Any

import numpy as np
import pytest

from visage.errors import BadParameter
from visage.faces.analyzer import AnalyzeOptions


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("min_confidence", 0),
        ("min_confidence", -0.5),
        ("min_confidence", 1.01),
        ("min_confidence", float("nan")),
        ("min_confidence", "0.5"),
        ("max_faces", 0),
        ("max_faces", -1),
        ("max_faces", 1001),
        ("max_faces", 2.5),
        ("min_face_size", -1),
        ("min_face_size", 100_001),
        ("min_face_size", None),
        ("detail", "high"),
    ],
)
def test_an_impossible_value_is_rejected_with_what_is_possible(option: str, value: Any) -> None:
    with pytest.raises(BadParameter, match=f"^{option} is {value!r}; it must be "):
        AnalyzeOptions(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [("min_confidence", 0.01), ("min_confidence", 1), ("min_confidence", np.float32(0.5)), ("max_faces", np.int64(3))],
)
def test_a_number_of_any_type_is_accepted(option: str, value: Any) -> None:
    assert getattr(AnalyzeOptions(**{option: value}), option) == value
