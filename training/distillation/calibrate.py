"""Calibrate the ages of the net, and write attributes.pt for `training.export`.

    python -m training.distillation.calibrate --data FairFace

The expected age of a face is the mean of its groups' middles. Few faces are over 70, so a net that learned faces as
frequent as they are gives that group too little, and the mean is far too low. One factor for all logits of ages and a
summand for each are fitted on faces that the net did not learn, with the error in years balanced over the groups,
and become a part of the last layer: the net takes no more time.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training import attributes, models
from training.attributes import MIDDLE_AGES, to_tensor
from training.distillation.loss import group_weights
from training.faces import Faces, plain_crops, read_faces
from training.run import load_means, read_arguments
from training.scores import answers_in, logits_of, score

# The last faces of FairFace's training set, which the net does not learn.
HELD_OUT = 3000

STEPS, RATE = 400, 0.02

# Weights of the balanced error in years whose scores are printed, so that one of them can be chosen.
SHOWN = (0, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Calibration:
    """`factor` and `summands` (9,) of the logits of the age groups."""

    factor: float
    summands: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """The calibrated (n, 9) logits."""
        return logits * self.factor + self.summands

    def fold(self, head: nn.Linear) -> None:
        """Change the last layer of a student so that its logits of ages are calibrated ones."""
        with torch.no_grad():
            head.weight[models.AGE] *= self.factor
            head.bias[models.AGE] = self(head.bias[models.AGE])


def fit(logits: Tensor, ages: Tensor, years: float) -> Calibration:
    """Return the calibration of (n, 9) logits with the least cross-entropy plus `years` times the balanced error."""
    logs, summands = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(logits.shape[1]))
    group = group_weights(ages.numpy()) ** 2
    group = group / group[ages].mean()
    optimizer = torch.optim.Adam([logs, summands], RATE)
    for _ in range(STEPS):
        changed = logits * logs.exp() + summands
        error = (changed.softmax(1) @ MIDDLE_AGES - MIDDLE_AGES[ages]).abs()
        loss = functional.cross_entropy(changed, ages) + years * (group[ages] * error).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return Calibration(float(logs.detach().exp()), summands.detach())


def _calibrated(logits: Tensor, calibration: Calibration) -> Tensor:
    result = logits.clone()
    result[:, models.AGE] = calibration(logits[:, models.AGE])
    return result


def net_in(checkpoint: Path) -> models.AttributeNet:
    """The net with averaged weights in a checkpoint of `training.distillation.students`, in evaluation mode."""
    net = models.student()
    means = load_means(checkpoint, "attributes")
    net.load_state_dict({name.removeprefix("net."): value for name, value in means.items() if name.startswith("net.")})
    return net.to(memory_format=torch.channels_last).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--years", type=float, default=0.1, help="the weight of the balanced error in years")
    arguments = read_arguments(parser)
    net = net_in(arguments.out / "distilled.pt")
    train = read_faces(arguments.data, "train", arguments.cache)
    last = slice(-HELD_OUT, None)
    held_out = Faces(train.chips[last], train.ages[last], train.genders[last], train.races[last])
    logits = logits_of(net, to_tensor(plain_crops(np.array(held_out.chips), attributes.SIDE)))
    ages = torch.from_numpy(held_out.ages)
    print(json.dumps({"weight": None, **score(answers_in(logits), held_out)}))
    for years in sorted({*SHOWN, arguments.years}):
        calibration = fit(logits[:, models.AGE], ages, years)
        changed = _calibrated(logits, calibration)
        print(json.dumps({"weight": years, **score(answers_in(changed), held_out)}), flush=True)
    fit(logits[:, models.AGE], ages, arguments.years).fold(net.head)
    torch.save({"means": {"attributes": net.state_dict()}}, arguments.out / "attributes.pt")


if __name__ == "__main__":
    main()
