"""How good answers for gender and age are, over all faces and for each age group."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import models
from training.faces import AGE_RANGES, AGES, Faces

# The middle of each age group in years: what `visage evaluate` compares an age with. FairFace's 70+ is open; the
# manifest ends it at 100.
MIDDLE_YEARS = np.array([(first + last) / 2 for first, last in AGE_RANGES], np.float32)


@dataclass(frozen=True)
class Answers:
    """Probabilities of genders (n, 2) and of age groups (n, 9), float32."""

    genders: NDArray[np.float32]
    ages: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.genders)

    def years(self) -> NDArray[np.float32]:
        """The expected age of each face, (n,) float32."""
        return self.ages @ MIDDLE_YEARS


def logits_of(net: nn.Module, crops: Tensor) -> Tensor:
    """The logits (n, `models.OUTPUT_COUNT`) float32 of a net for (n, 3, side, side) crops."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return torch.cat([net(part).float() for part in crops.split(250)])


def answers_in(logits: Tensor) -> Answers:
    """The answers in (n, `models.OUTPUT_COUNT`) logits. Those of races are left out."""
    return Answers(*(logits[:, part].float().softmax(1).numpy() for part in (models.GENDER, models.AGE)))


def score(answers: Answers, faces: Faces) -> dict[str, float]:
    """Shares of right genders, of right age groups and of those within one group, and the mean error in years.

    Then the share of right genders and the error in years for each age group, as `gender 3-9` and `years 70+`.
    """
    right = answers.genders.argmax(1) == faces.genders
    distance = np.abs(answers.ages.argmax(1) - faces.ages)
    errors = np.abs(answers.years() - MIDDLE_YEARS[faces.ages])
    result = {
        "gender": right.mean(),
        "age": (distance == 0).mean(),
        "within_one": (distance <= 1).mean(),
        "years": errors.mean(),
    }
    for group, name in enumerate(AGES):
        members = faces.ages == group
        if members.any():
            result[f"gender {name}"], result[f"years {name}"] = right[members].mean(), errors[members].mean()
    return {name: round(float(value), 3) for name, value in result.items()}
