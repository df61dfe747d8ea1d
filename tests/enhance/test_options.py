"""The options of an enhancement check themselves."""

from typing import Any

import pytest

from visage.enhance.results import SCALES, EnhanceOptions
from visage.errors import BadParameter


@pytest.mark.parametrize("scale", [0, 0.5, 1, 1.1, -1, 4, float("nan"), float("inf"), "2"])
def test_a_scale_that_cannot_be_chosen_is_rejected_with_those_that_can(scale: Any) -> None:
    with pytest.raises(BadParameter, match=rf"^scale is {scale!r}; it must be one of 1\.5, 2, 3\.$"):
        EnhanceOptions(scale)


@pytest.mark.parametrize("scale", [None, *SCALES])
def test_the_scale_of_the_net_and_every_choice_are_accepted(scale: float | None) -> None:
    assert EnhanceOptions(scale).scale == scale
