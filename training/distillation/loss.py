"""The loss of a student: labels, in which rare ages and children count more, and the soft labels of the ensemble."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training import models
from training.attributes import MIDDLE_AGES, age_targets
from training.faces import AGES

# The share of soft labels in the loss of a labelled face. An unlabelled face has soft labels only.
SOFT = 0.6

# The divisor of logits (Hinton et al., 2015).
TEMPERATURE = 2.0

# The gender of children is the hardest: 0.76 against 0.90 over all faces.
CHILDREN, CHILDREN_WEIGHT = 2, 2.0

# Years count as the frequency of the age group to the power of this: in part balanced, because a net that is trained on
# faces as frequent as they are estimates people over 70 as 21 years too young.
BALANCE = -0.5

# The weight of the error in years in the loss of ages.
YEARS = 0.03


@dataclass(frozen=True)
class Targets:
    """What a batch of n faces teaches. `labelled` (n,) bool: `genders` and `ages` (n,) int64 count. `soft_genders`
    (n, 2) and `soft_ages` (n, 9) float32 are the probabilities of the ensemble, `features` (n, m) float32 those of the
    teacher, reduced.
    """

    labelled: Tensor
    genders: Tensor
    ages: Tensor
    soft_genders: Tensor
    soft_ages: Tensor
    features: Tensor


def group_weights(ages: NDArray[np.int64]) -> Tensor:
    """The weight of each age group in the error in years, (9,) float32; 1 on average over the faces of `ages`."""
    counts = np.bincount(ages, minlength=len(AGES)).clip(1)
    weights = counts**BALANCE
    return torch.tensor(weights / (weights[ages].mean()), dtype=torch.float32)


def loss_of(logits: Tensor, targets: Targets, group: Tensor) -> Tensor:
    """The mean loss over a batch of the (n, `models.OUTPUT_COUNT`) logits; `group` are the weights of age groups."""
    genders, ages = logits[:, models.GENDER], logits[:, models.AGE]
    children = torch.where(targets.ages < CHILDREN, CHILDREN_WEIGHT, 1.0)
    hard_gender = children * functional.cross_entropy(genders, targets.genders, label_smoothing=0.05, reduction="none")
    groups = functional.cross_entropy(ages, age_targets(targets.ages), reduction="none")
    years = (ages.softmax(1) @ MIDDLE_AGES - MIDDLE_AGES[targets.ages]).abs()
    hard = hard_gender + groups + YEARS * group[targets.ages] * years
    soft = _divergence(genders, targets.soft_genders) + _divergence(ages, targets.soft_ages)
    share = torch.where(targets.labelled, SOFT, 1.0)
    # Where a face has no label its hard loss has the factor 0.
    return ((1 - share) * hard + share * soft).mean()


def _divergence(logits: Tensor, probabilities: Tensor) -> Tensor:
    """From the softened probabilities of the teachers (Hinton et al., 2015), (n,)."""
    target = (probabilities.clamp_min(1e-6).log() / TEMPERATURE).softmax(1)
    own = (logits / TEMPERATURE).log_softmax(1)
    return TEMPERATURE**2 * functional.kl_div(own, target, reduction="none").sum(1)
