"""Train a teacher of gender and age, which is too slow to serve.

    python -m training.attributes --data FairFace --out runs

An interrupted run continues from its last epoch. `training.distillation` trains the net that is served.
"""

import argparse
import json
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training import models
from training.faces import AGE_RANGES, Faces, plain_crops, read_faces, training_crop
from training.run import Run, load_means, read_arguments
from training.scores import MIDDLE_YEARS, answers_in, logits_of, score

# The side in pixels of the student's crops.
SIDE = 72

# The side of the teacher's crops, and its side in the first half of a run from scratch, which halves the time.
TEACHER_SIDE, TEACHER_EARLY_SIDE = 80, 56
BATCH = 128
PEAK_RATE, KERNEL_RATE = 0.05, 0.04

# The factor of both rates in a run that starts from trained weights. At 1 the loss rises at first (docs/decisions.md).
START_RATE = 0.4
SEED = 20261121

MIDDLE_AGES = torch.from_numpy(MIDDLE_YEARS)

# The mean and scale of the manifest: the nets get values in -1..1.
MEAN, SCALE = 127.5, 1 / 127.5

# The tensor of the crops, and the indices of their faces.
Batch = tuple[Tensor, NDArray[np.int64]]


@dataclass(frozen=True)
class Weights:
    """Weights of the attributes in the loss of a net. It learns better if it learns races, too."""

    gender: float
    age: float
    race: float


WEIGHTS = Weights(gender=1.0, age=1.0, race=0.5)


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """Convert (n, side, side, 3) uint8 BGR crops to the input of the nets, (n, 3, side, side) float32 in -1..1."""
    blob = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    return ((blob - MEAN) * SCALE).contiguous(memory_format=torch.channels_last)


def batches(faces: Faces, epoch: int, side: int, workers: int) -> Iterator[Batch]:
    """Yield the batches of an epoch in random order; `workers` threads make the augmented crops."""
    order = np.random.default_rng((SEED, epoch)).permutation(len(faces))
    chunks = [order[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH)]
    ready: list[queue.Queue[Tensor]] = [queue.Queue(4) for _ in range(workers)]

    def work(worker: int) -> None:
        for number in range(worker, len(chunks), workers):
            rng = np.random.default_rng((SEED, epoch, number))
            crops = np.stack([training_crop(faces.chips[index], side, rng) for index in chunks[number]])
            ready[worker].put(to_tensor(crops))

    for worker in range(workers):
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    for number, chunk in enumerate(chunks):
        yield ready[number % workers].get(), chunk


def age_targets(ages: Tensor) -> Tensor:
    """Return soft labels (n, groups): most weight on the labelled age group, some on its neighbours."""
    distance = (torch.arange(len(AGE_RANGES))[None] - ages[:, None]).abs().float()
    weight = torch.exp(-(distance**2) / (2 * 0.55**2))
    return weight / weight.sum(1, keepdim=True)


def label_loss(logits: Tensor, faces: Faces, chosen: NDArray[np.int64], weights: Weights) -> Tensor:
    """Return the weighted loss of gender, age (group and error in years) and race against the labels."""
    gender = functional.cross_entropy(
        logits[:, models.GENDER], torch.from_numpy(faces.genders[chosen]), label_smoothing=0.05
    )
    ages = torch.from_numpy(faces.ages[chosen])
    groups = functional.cross_entropy(logits[:, models.AGE], age_targets(ages))
    years = (logits[:, models.AGE].softmax(1) @ MIDDLE_AGES - MIDDLE_AGES[ages]).abs().mean()
    race = functional.cross_entropy(logits[:, models.RACE], torch.from_numpy(faces.races[chosen]), label_smoothing=0.1)
    return weights.gender * gender + weights.age * (groups + 0.03 * years) + weights.race * race


def train(arguments: argparse.Namespace) -> None:
    """Train the teacher; print one line of JSON per epoch."""
    torch.manual_seed(SEED)
    faces = read_faces(arguments.data, "train", arguments.cache)
    unseen = read_faces(arguments.data, "val", arguments.cache)
    unseen_crops = to_tensor(plain_crops(unseen.chips, TEACHER_SIDE))
    net = models.teacher()
    if arguments.start:
        net.load_state_dict(load_means(arguments.start, "teacher"))
    steps = len(faces) // BATCH
    rates = [(START_RATE if arguments.start else 1) * rate for rate in (PEAK_RATE, KERNEL_RATE)]
    run = Run({"teacher": net}, arguments.out / "teacher.pt", arguments.epochs * steps, *rates)
    for epoch in range(run.steps // steps, arguments.epochs):
        started = time.monotonic()
        early = not arguments.start and epoch < arguments.epochs // 2
        run.train()
        losses = []
        for crops, chosen in batches(faces, epoch, TEACHER_EARLY_SIDE if early else TEACHER_SIDE, arguments.workers):
            with torch.autocast("cpu", torch.bfloat16):
                logits = run.nets["teacher"](crops)
            losses.append(run.step(label_loss(logits.float(), faces, chosen, WEIGHTS)))
        run.save()
        result = score(answers_in(logits_of(run.means["teacher"], unseen_crops)), unseen)
        seconds, loss = round(time.monotonic() - started), round(float(np.mean(losses)), 4)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "loss": loss, **result}), flush=True)


def load_teacher(checkpoint: Path) -> nn.Module:
    """Return the trained teacher for inference."""
    teacher = models.teacher().to(memory_format=torch.channels_last)
    teacher.load_state_dict(load_means(checkpoint, "teacher"))
    return teacher.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a checkpoint that a new run starts from")
    parser.add_argument("--epochs", type=int, default=20)
    train(read_arguments(parser))


if __name__ == "__main__":
    main()
