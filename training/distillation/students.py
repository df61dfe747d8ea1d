"""Train the gender and age nets on labels and on the soft labels of an ensemble, for a given time.

    python -m training.distillation.students --data FairFace --start models/compact --photos --minutes 120

A run saves itself after every round into distilled.pt in `--out`, with the time that it took, and goes on from there.
The learning rate falls to zero at the end of `--minutes`. Each round prints the scores of the averaged nets on
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
from torch import Tensor

from training import attributes, models
from training.attributes import Weights, to_tensor
from training.distillation import ensemble, photos
from training.distillation.calibrate import HELD_OUT, answers_of, logits_of
from training.distillation.loss import Targets, group_weights, loss_of
from training.distillation.scores import Answers, score
from training.faces import Faces, plain_crops, read_faces, training_crop
from training.run import Run, read_arguments

BATCH = attributes.BATCH

# The part of a batch that faces of photos have, if there are any.
PHOTO_SHARE = 0.3

# Batches between two checkpoints.
ROUND = 300

WEIGHTS = {"gender": Weights(gender=1.0, age=0.3, race=0), "age": Weights(gender=0.2, age=1.0, race=0)}
SEED = 20261129


@dataclass(frozen=True)
class Material:
    """FairFace's faces and what the teachers say of them; and chips (n, 112, 112, 3) uint8 BGR without labels."""

    faces: Faces
    soft: Answers
    chips: NDArray[np.uint8]
    chips_soft: Answers

    def batch(self, number: int, size: int = BATCH) -> tuple[Tensor, Targets]:
        """The augmented crops and the targets of batch `number`: always the same ones."""
        rng = np.random.default_rng((SEED, number))
        unlabelled = round(PHOTO_SHARE * size) if len(self.chips) else 0
        known = rng.integers(len(self.faces), size=size - unlabelled)
        other = rng.integers(len(self.chips), size=unlabelled) if unlabelled else np.zeros(0, np.int64)
        chips = [self.faces.chips[index] for index in known] + [self.chips[index] for index in other]
        crops = to_tensor(np.stack([training_crop(chip, attributes.SIDE, rng) for chip in chips]))
        nothing = np.zeros(unlabelled, np.int64)
        targets = Targets(
            torch.arange(size) < len(known),
            torch.from_numpy(np.concatenate([self.faces.genders[known], nothing])),
            torch.from_numpy(np.concatenate([self.faces.ages[known], nothing])),
            torch.from_numpy(np.concatenate([self.soft.genders[known], self.chips_soft.genders[other]])),
            torch.from_numpy(np.concatenate([self.soft.ages[known], self.chips_soft.ages[other]])),
        )
        return crops, targets


def read(arguments: argparse.Namespace) -> Material:
    """The material of a run. The last `HELD_OUT` faces are left for the calibration.

    Raises:
        ValueError: the soft labels are not those of all faces.
    """
    faces = read_faces(arguments.data, "train", arguments.cache)
    soft = ensemble.load(arguments.out / "soft_train.npz")
    chips = photos.read(arguments.cache / "photos") if arguments.photos else np.zeros((0, 112, 112, 3), np.uint8)
    chips_soft = ensemble.load(arguments.out / "soft_photos.npz") if arguments.photos else soft
    if len(soft) != len(faces) or (arguments.photos and len(chips_soft) != len(chips)):
        raise ValueError("The soft labels are of other chips: run python -m training.distillation.ensemble again.")
    return Material(faces.first(len(faces) - HELD_OUT), soft, chips, chips_soft)


def stream(material: Material, first: int, workers: int) -> Generator[tuple[Tensor, Targets], None, None]:
    """Batches without end, from number `first` on; `workers` threads prepare them."""
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(material.batch, first + ahead) for ahead in range(4 * workers)]
        while True:
            yield waiting.pop(0).result()
            first += 1
            waiting.append(pool.submit(material.batch, first + 4 * workers - 1))


def train(run: Run, material: Material, seconds: float, workers: int, until: int) -> float:
    """Train up to step `until` or until the run took `seconds` in all, and return the mean loss."""
    group = group_weights(material.faces.ages)
    batches = stream(material, run.steps, workers)
    losses = []
    run.train()
    began, before = time.monotonic(), run.seconds
    while run.steps < until and run.seconds < seconds:
        crops, targets = next(batches)
        loss = torch.zeros(())
        for name, net in run.nets.items():
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(crops)
            loss = loss + loss_of(logits.float(), targets, group, WEIGHTS[name])
        # The rate falls with the time that has passed: steps and time grow alike.
        run.total_steps = max(run.steps + 1, round(run.steps * seconds / max(run.seconds, 1.0)))
        losses.append(run.step(loss))
        run.seconds = before + time.monotonic() - began
    batches.close()
    return float(np.mean(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a pack of ours that a new run begins with")
    parser.add_argument("--photos", action="store_true", help="learn from faces of photos too")
    parser.add_argument("--minutes", type=float, default=120)
    arguments = read_arguments(parser)
    torch.manual_seed(SEED)
    material = read(arguments)
    unseen = read_faces(arguments.data, "val", arguments.cache)
    crops = to_tensor(plain_crops(unseen.chips, attributes.SIDE))
    nets = {name: models.student() for name in WEIGHTS}
    if arguments.start:
        for name, net in nets.items():
            attributes.load_student(net, arguments.start, name, crops[: attributes.CALIBRATION_CROPS])
    factor = attributes.START_RATE if arguments.start else 1
    rates = [factor * rate for rate in (attributes.PEAK_RATE, attributes.KERNEL_RATE)]
    run = Run(nets, arguments.out / "distilled.pt", 1, *rates)
    seconds = arguments.minutes * 60
    while run.seconds < seconds:
        loss = train(run, material, seconds, arguments.workers, run.steps + ROUND)
        run.save()
        found = answers_of({name: logits_of(net, crops) for name, net in run.means.items()})
        progress = {"step": run.steps, "seconds": round(run.seconds), "loss": round(loss, 4)}
        print(json.dumps({**progress, **score(found, unseen)}), flush=True)


if __name__ == "__main__":
    main()
