"""Train the net of gender and age on labels, on the soft labels of an ensemble and on the features of a teacher.

    python -m training.distillation.students --data FairFace --minutes 240 [--photos] [--start CHECKPOINT]

A run saves itself after every round into distilled.pt in `--out`, with the time that it took, and goes on from there.
The learning rate falls to zero at the end of `--minutes`. Each round prints the scores of the averaged net on
validation faces, for every age group too. `training.distillation.calibrate` comes next.
"""

import argparse
import json
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import attributes, models
from training.attributes import to_tensor
from training.distillation import components, ensemble, features, photos
from training.distillation.calibrate import HELD_OUT
from training.distillation.loss import Targets, group_weights, loss_of
from training.faces import Faces, plain_crops, read_faces, training_crop
from training.run import Run, load_means, read_arguments
from training.scores import Answers, answers_in, logits_of, score

BATCH = attributes.BATCH

# The part of a batch that faces of photos have, if there are any.
PHOTO_SHARE = 0.3

# Batches between two checkpoints.
ROUND = 250

# Smaller crops in the first half of a run take 0.7 of the time.
EARLY_SIDE = 56

# The weight of the features in the loss. A net that says nothing of them loses 1.
FEATURES = 2.0

SEED = 20261129


class Learner(nn.Module):
    """The net, and a layer that tells the teacher's features from what its head sees; only the net is served."""

    def __init__(self) -> None:
        super().__init__()
        self.net = models.student()
        self.project = nn.Linear(self.net.head.in_features, components.COUNT)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        values = self.net.features(crops)
        return self.net.head(values), self.project(values)


@dataclass(frozen=True)
class Known:
    """Chips (n, 112, 112, 3) uint8 BGR, the ensemble's soft labels and the teacher's features (n, m) float16."""

    chips: NDArray[np.uint8]
    soft: Answers
    features: NDArray[np.float16]


@dataclass(frozen=True)
class Material:
    """FairFace's `faces`, what is `known` of them, and of `others` without labels, if there are any."""

    faces: Faces
    known: Known
    others: Known | None = None

    def batch(self, number: int, side: int, size: int = BATCH) -> tuple[Tensor, Targets]:
        """The augmented crops and the targets of batch `number`: always the same ones."""
        rng = np.random.default_rng((SEED, number))
        unlabelled = round(PHOTO_SHARE * size) if self.others else 0
        chosen = rng.integers(len(self.faces), size=size - unlabelled)
        parts = [(self.known, chosen)]
        if self.others:
            parts.append((self.others, rng.integers(len(self.others.chips), size=unlabelled)))
        chips = [source.chips[index] for source, indices in parts for index in indices]
        nothing = np.zeros(unlabelled, np.int64)
        targets = Targets(
            torch.arange(size) < len(chosen),
            torch.from_numpy(np.concatenate([self.faces.genders[chosen], nothing])),
            torch.from_numpy(np.concatenate([self.faces.ages[chosen], nothing])),
            torch.from_numpy(np.concatenate([source.soft.genders[indices] for source, indices in parts])),
            torch.from_numpy(np.concatenate([source.soft.ages[indices] for source, indices in parts])),
            torch.from_numpy(
                np.concatenate([source.features[indices] for source, indices in parts]).astype(np.float32)
            ),
        )
        return to_tensor(np.stack([training_crop(chip, side, rng) for chip in chips])), targets


def read(arguments: argparse.Namespace) -> Material:
    """The material of a run. The last `HELD_OUT` faces are left for the calibration.

    Raises:
        ValueError: the soft labels or the features are not those of all faces.
    """
    faces = read_faces(arguments.data, "train", arguments.cache)
    seen = features.read(arguments.out / "features_train", len(faces))
    principal = components.fit(seen)
    known = _known(faces.chips, seen, principal, arguments.out / "soft_train.npz")
    others = None
    if arguments.photos:
        chips = photos.read(arguments.cache / "photos")
        seen = features.read(arguments.out / "features_photos", len(chips))
        others = _known(chips, seen, principal, arguments.out / "soft_photos.npz")
    return Material(faces.first(len(faces) - HELD_OUT), known, others)


def _known(chips: NDArray[np.uint8], seen: features.Features, principal: components.Components, labels: Path) -> Known:
    soft = ensemble.load(labels)
    if len(soft) != len(chips):
        raise ValueError("The soft labels are of other chips: run python -m training.distillation.ensemble again.")
    return Known(chips, soft, principal.project(seen))


def stream(material: Material, first: int, side: int, workers: int) -> Generator[tuple[Tensor, Targets], None, None]:
    """Batches without end, from number `first` on; `workers` threads prepare them."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(material.batch, first + ahead, side) for ahead in range(4 * workers)]
        while True:
            yield waiting.pop(0).result()
            first += 1
            waiting.append(pool.submit(material.batch, first + 4 * workers - 1, side))


def train(run: Run, material: Material, seconds: float, workers: int, until: int) -> float:
    """Train up to step `until` or until the run took `seconds` in all, and return the mean loss."""
    group = group_weights(material.faces.ages)
    batches = stream(material, run.steps, EARLY_SIDE if run.seconds < seconds / 2 else attributes.SIDE, workers)
    losses = []
    run.train()
    began, before = time.monotonic(), run.seconds
    while run.steps < until and run.seconds < seconds:
        crops, targets = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            logits, told = run.nets["attributes"](crops)
        missed = ((told.float() - targets.features) ** 2).sum(1).mean()
        # The rate falls with the time that has passed: steps and time grow alike.
        run.total_steps = max(run.steps + 1, round(run.steps * seconds / max(run.seconds, 1.0)))
        losses.append(run.step(loss_of(logits.float(), targets, group) + FEATURES * missed))
        run.seconds = before + time.monotonic() - began
    batches.close()
    return float(np.mean(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", action="store_true", help="learn from faces of photos too")
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--start", type=Path, help="a checkpoint whose averaged weights a new run starts from")
    arguments = read_arguments(parser)
    torch.manual_seed(SEED)
    material = read(arguments)
    unseen = read_faces(arguments.data, "val", arguments.cache)
    crops = to_tensor(plain_crops(unseen.chips, attributes.SIDE))
    learner = Learner()
    if arguments.start:
        learner.load_state_dict(load_means(arguments.start, "attributes"))
    factor = attributes.START_RATE if arguments.start else 1
    rates = [factor * rate for rate in (attributes.PEAK_RATE, attributes.KERNEL_RATE)]
    run = Run({"attributes": learner}, arguments.out / "distilled.pt", 1, *rates)
    mean = run.means["attributes"]
    assert isinstance(mean, Learner)
    seconds = arguments.minutes * 60
    while run.seconds < seconds:
        loss = train(run, material, seconds, arguments.workers, run.steps + ROUND)
        run.save()
        found = answers_in(logits_of(mean.net, crops))
        progress = {"step": run.steps, "seconds": round(run.seconds), "loss": round(loss, 4)}
        print(json.dumps({**progress, **score(found, unseen)}), flush=True)


if __name__ == "__main__":
    main()
