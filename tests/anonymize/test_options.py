"""The options of an anonymization check themselves, so that no mask leaves a face visible."""

from typing import Any

import pytest

from visage.anonymize.masks import Mask
from visage.anonymize.options import AnonymizeOptions
from visage.errors import BadParameter


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("scale", each) for each in (0, 0.1, -1, 0.99, 3.01, float("nan"), float("inf"), "2")),
        ("method", "solid"),
        ("shape", "box"),
    ],
)
def test_an_impossible_mask_is_rejected_with_what_is_possible(option: str, value: Any) -> None:
    with pytest.raises(BadParameter, match=f"^{option} is {value!r}; it must be "):
        Mask(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"), [("min_confidence", 0), ("min_confidence", float("nan")), ("detail", "fast")]
)
def test_an_impossible_search_is_rejected_with_what_is_possible(option: str, value: Any) -> None:
    with pytest.raises(BadParameter, match=f"^{option} is {value!r}; it must be "):
        AnonymizeOptions(**{option: value})
