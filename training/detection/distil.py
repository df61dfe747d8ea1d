"""Train the small face net to answer like the large one.

    python -m training.detection.distil --photos DIR --large runs/face.pt

It learns the maps of the large net at the strides 16 and 32 ("FitNets": Romero et al., 2015), its confidences (Hinton
et al., 2015) and, where the large net believes in a face, its boxes and landmarks. The labels only choose which
parts of photos are shown. A run saves itself after every round into distilled_face.pt in `--out`, and goes on from
there.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attributes import to_tensor
from training.detection.labels import read_photos
from training.detection.net import LARGE, SMALL, FaceNet, Refinement
from training.detection.pictures import Composer
from training.detection.train import BATCHES, Batch, count_steps, parser_with_photos, stream, train_in_rounds
from training.run import Run, load_means, read_arguments

PEAK_RATE = 4e-4
SEED = 20261130

# The weight of the confidences in the loss.
_SCORE_WEIGHT = 0.3

# Boxes and landmarks are weighted by the confidence of the large net; below this one they are left out.
_LEAST_CONFIDENCE = 0.05

# Added to a sum of such weights, which may be zero.
_LEAST_WEIGHT = 1e-3

# A lower bound of a channel's variance, so that a nearly constant one does not count most.
_LEAST_VARIANCE = 1e-3

# Pictures, and at most so many places in them, that choose the channels of the small net.
_FIRST_PICTURES, _MOST_ROWS = 96, 20_000


@dataclass(frozen=True)
class Errors:
    """How far the small net is from the large one; each value is a scalar.

    `maps` is the mean squared difference of the maps in parts of the variance of their channel, at the strides where
    both nets have the same channels. `scores` is the
    Kullback-Leibler divergence of the confidences, summed over the cells of a picture. `places` is the mean absolute
    difference of the 14 values of boxes and landmarks, in strides and in logarithms of sides. Each stride counts alike.
    """

    maps: Tensor
    scores: Tensor
    places: Tensor

    @property
    def total(self) -> Tensor:
        return self.maps + _SCORE_WEIGHT * self.scores + self.places


def errors(small: FaceNet, large: FaceNet, pictures: Tensor) -> Errors:
    """The errors of `small` for (n, 3, height, width) pictures."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        goal_levels = large.levels(pictures)
        goals = [values.float() for values in large.heads(goal_levels)]
    with torch.autocast("cpu", torch.bfloat16):
        levels = small.levels(pictures)
        outputs = [values.float() for values in small.heads(levels)]
    maps = [
        _relative_error(level.float(), goal.float())
        for level, goal in zip(levels, goal_levels, strict=True)
        if level.shape == goal.shape
    ]
    scores, places = [], []
    for first in range(0, len(outputs), 3):
        (score, box, points), (goal_score, goal_box, goal_points) = (
            each[first : first + 3] for each in (outputs, goals)
        )
        confidences = goal_score.sigmoid()
        cross_entropy = functional.binary_cross_entropy_with_logits(score, confidences, reduction="none")
        entropy = functional.binary_cross_entropy_with_logits(goal_score, confidences, reduction="none")
        scores.append((cross_entropy - entropy).sum() / len(pictures))
        weights = confidences * (confidences > _LEAST_CONFIDENCE)
        differences = torch.cat([box - goal_box, points - goal_points], 1).abs().mean(1, keepdim=True)
        places.append((weights * differences).sum() / (weights.sum() + _LEAST_WEIGHT))
    return Errors(torch.stack(maps).mean(), torch.stack(scores).sum(), torch.stack(places).mean())


def _relative_error(maps: Tensor, goals: Tensor) -> Tensor:
    variance = goals.var((0, 2, 3), keepdim=True).clamp(min=_LEAST_VARIANCE)
    return ((maps - goals) ** 2 / variance).mean()


def start_from_large(small: FaceNet, large: FaceNet, pictures: Tensor) -> None:
    """Give `small` the weights of `large`. (n, 3, height, width) `pictures` choose channels where it has fewer."""
    with torch.no_grad():
        sources = dict(large.named_modules())
        for name, layer in small.named_modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.shape == sources[name].weight.shape:
                layer.load_state_dict(sources[name].state_dict())
        first = large.stem[:2](pictures)
        quarter = large.quarter(large.stem(pictures))
        sixteenth = large.sixteenth[:3](large.eighth(quarter))
        last = large.last[:3](large.sixteenth(large.eighth(quarter)))
        eighth = large.levels(pictures)[0]
        kept = _narrow([small.stem[2].point], [large.stem[2].point], first)
        _keep(small.stem[0], large.stem[0], kept)
        kept = _narrow([small.eighth[0].point], [large.eighth[0].point], quarter)
        _keep(small.quarter[3].point, large.quarter[3].point, kept)
        _keep(small.quarter[3].depth, large.quarter[3].depth, kept)
        heads, goals = ([net.scores[0], net.boxes[0], net.landmarks[0]] for net in (small, large))
        kept = _narrow(heads, goals, eighth)
        _keep(small.laterals[0].point, large.laterals[0].point, kept)
        _keep(small.laterals[0].depth, large.laterals[0].depth, kept)
        _start_block(small.sixteenth[3], large.sixteenth[3], sixteenth)
        _start_block(small.last[3], large.last[3], last)
        _start_block(small.last[4], large.last[4], large.last[3](last))


def _start_block(small: Refinement, large: Refinement, maps: Tensor) -> None:
    _keep(small.first, large.first, _narrow([small.second], [large.second], large.inside(maps)))


def _keep(small: nn.Conv2d, large: nn.Conv2d, kept: list[int]) -> None:
    """Give `small` the output channels `kept` of `large`."""
    small.load_state_dict({"weight": large.weight[kept], "bias": large.bias[kept]})


def _narrow(small: Sequence[nn.Conv2d], large: Sequence[nn.Conv2d], maps: Tensor) -> list[int]:
    """Return the channels of `maps` that predict the outputs of `large` for them best, as many as `small` takes.

    They are found by backward elimination. Each layer of `small` gets the weights of the prediction, by least squares.
    """
    kernel, padding = large[0].kernel_size, large[0].padding
    weights, biases = (torch.cat([getattr(layer, name) for layer in large]) for name in ("weight", "bias"))
    taps = weights[0, 0].numel()
    patches = functional.unfold(maps, kernel, padding=padding).transpose(1, 2).flatten(0, 1)
    patches = patches[:: math.ceil(len(patches) / _MOST_ROWS)]
    rows = torch.cat([patches, patches.new_ones(len(patches), 1)], 1).double()
    targets = rows[:, :-1] @ weights.flatten(1).T.double()
    # A little of the identity, because channels may be zero everywhere.
    normal = rows.T @ rows + 1e-6 * torch.eye(rows.shape[1], dtype=torch.double)
    products = rows.T @ targets

    def fit(channels: list[int]) -> tuple[Tensor, Tensor]:
        """The least-squares solution for the rows of `channels` and the constant, and the variance that it explains."""
        columns = (torch.tensor(channels)[:, None] * taps + torch.arange(taps)).flatten()
        columns = torch.cat([columns, torch.tensor([rows.shape[1] - 1])])
        solution = torch.linalg.solve(normal[columns][:, columns], products[columns])
        return solution, (solution * products[columns]).sum()

    kept = list(range(maps.shape[1]))
    while len(kept) > small[0].in_channels:
        kept = max(map(list, combinations(kept, len(kept) - 1)), key=lambda channels: float(fit(channels)[1]))
    solution, _ = fit(kept)
    found = solution[:-1].T.float().unflatten(1, (len(kept), *kernel))
    sizes = [layer.out_channels for layer in small]
    biases = biases + solution[-1].float()
    for layer, weight, bias in zip(small, found.split(sizes), biases.split(sizes), strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    return kept


def train(arguments: argparse.Namespace) -> None:
    """Train until `--samples` pictures were seen."""
    large = FaceNet(LARGE)
    large.load_state_dict(load_means(arguments.large, "face"))
    large = large.to(memory_format=torch.channels_last).eval()
    small = FaceNet(SMALL)
    read = partial(read_photos, arguments.photos, arguments.labels)
    if arguments.start:
        small.load_state_dict(load_means(arguments.start, "face"))
    else:
        pictures = Composer(read()).pictures(_FIRST_PICTURES, BATCHES[0][0], np.random.default_rng(SEED))
        start_from_large(small, large, to_tensor(np.stack([picture.pixels for picture in pictures])))
    steps = count_steps(arguments.samples)
    run = Run({"face": small}, arguments.out / "distilled_face.pt", steps, PEAK_RATE, adaptive=True)

    def parts_of_loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        each = errors(small, large, batch[0])
        return each.total, {"maps": each.maps, "scores": each.scores, "places": each.places}

    train_in_rounds(run, stream(read, SEED, run.steps, arguments.workers), parts_of_loss)


def main() -> None:
    parser = parser_with_photos(__doc__, samples=100_000)
    parser.add_argument("--large", type=Path, default=Path("runs/face.pt"), help="checkpoint of the large net")
    parser.add_argument("--start", type=Path, help="checkpoint whose averaged weights a new run starts from")
    train(read_arguments(parser))


if __name__ == "__main__":
    main()
