"""Train the gender and age nets by distillation: first a teacher that is too slow to serve, then two students.

    python -m training.attributes teacher --data FairFace --out runs
    python -m training.attributes students --data FairFace --out runs

An interrupted run continues from its last epoch.
"""

import argparse
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training import caffe, models, tracing
from training.faces import AGE_RANGES, Faces, plain_crops, read_faces, training_crop
from training.run import Run, load_means, read_arguments

# The side in pixels of the students' crops.
SIDE = 72

# The side of the teacher's crops, and its side in the first half of a run from scratch, which halves the time.
TEACHER_SIDE, TEACHER_EARLY_SIDE = 80, 56
BATCH = 128
PEAK_RATE, KERNEL_RATE = 0.05, 0.04

# The factor of both rates in a run that starts from trained weights. At 1 the loss rises at first (docs/decisions.md).
START_RATE = 0.4
SEED = 20261121

# Crops from which batch norms get their statistics in a student that starts from a pack (`tracing.unfold`).
CALIBRATION_CROPS = 1000

# The share of the teacher in a student's loss; the rest is the labels'.
DISTILLATION = 0.5

# The divisor of logits in distillation (Hinton et al., 2015).
TEMPERATURE = 2.0

# The middle of each age range in years. FairFace's 70+ is open; the manifest ends it at 100.
MIDDLE_AGES = torch.tensor([(first + last) / 2 for first, last in AGE_RANGES])

# The mean and scale of the manifest: the nets get values in -1..1.
MEAN, SCALE = 127.5, 1 / 127.5

# The tensor of the crops, and the indices of their faces.
Batch = tuple[Tensor, NDArray[np.int64]]


@dataclass(frozen=True)
class Weights:
    """Weights of the attributes in the loss of a net, which also learns those that it is not used for."""

    gender: float
    age: float
    race: float


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


def teacher_loss(logits: Tensor, teacher_logits: Tensor, weights: Weights) -> Tensor:
    """Return the weighted loss against the teacher's logits of the same crops (Hinton et al., 2015)."""
    total = torch.zeros(())
    parts = ((models.GENDER, weights.gender), (models.AGE, weights.age), (models.RACE, weights.race))
    for part, weight in parts:
        target = (teacher_logits[:, part] / TEMPERATURE).softmax(1)
        total = total + weight * TEMPERATURE**2 * functional.kl_div(
            (logits[:, part] / TEMPERATURE).log_softmax(1), target, reduction="batchmean"
        )
    return total


def score(model: nn.Module, faces: Faces, crops: Tensor) -> dict[str, float]:
    """Return the accuracies of gender, age group and age within one group, and the mean age error in years."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = torch.cat([model(part).float() for part in crops.split(250)])
    genders, ages = torch.from_numpy(faces.genders), torch.from_numpy(faces.ages)
    groups = logits[:, models.AGE].argmax(1)
    years = logits[:, models.AGE].softmax(1) @ MIDDLE_AGES
    return {
        "gender": float((logits[:, models.GENDER].argmax(1) == genders).float().mean()),
        "age": float((groups == ages).float().mean()),
        "within_one": float(((groups - ages).abs() <= 1).float().mean()),
        "years": float((years - MIDDLE_AGES[ages]).abs().mean()),
    }


def train(weights: dict[str, Weights], arguments: argparse.Namespace) -> None:
    """Train a net for each name of `weights` on the same crops; print one line of JSON per epoch."""
    torch.manual_seed(SEED)
    faces = read_faces(arguments.data, "train", arguments.cache)
    unseen = read_faces(arguments.data, "val", arguments.cache)
    distilled = arguments.stage == "students"
    full_side = SIDE if distilled else TEACHER_SIDE
    unseen_crops = to_tensor(plain_crops(unseen.chips, full_side))
    teacher = load_teacher(arguments.teacher or arguments.out / "teacher.pt") if distilled else None
    nets = {name: models.student() if distilled else models.teacher() for name in weights}
    if arguments.start:
        _load_start(nets, arguments.start, unseen_crops[:CALIBRATION_CROPS], distilled=distilled)
    steps = len(faces) // BATCH
    rates = [(START_RATE if arguments.start else 1) * rate for rate in (PEAK_RATE, KERNEL_RATE)]
    run = Run(nets, arguments.out / f"{arguments.stage}.pt", arguments.epochs * steps, *rates)
    for epoch in range(run.steps // steps, arguments.epochs):
        started = time.monotonic()
        early = not distilled and not arguments.start and epoch < arguments.epochs // 2
        side = TEACHER_EARLY_SIDE if early else full_side
        run.train()
        losses = [
            run.step(loss_of(run, weights, teacher, faces, batch))
            for batch in batches(faces, epoch, side, arguments.workers)
        ]
        run.save()
        result = {name: score(mean, unseen, unseen_crops) for name, mean in run.means.items()}
        seconds, loss = round(time.monotonic() - started), round(float(np.mean(losses)), 4)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "loss": loss, **result}), flush=True)


def _load_start(nets: Mapping[str, models.AttributeNet], start: Path, crops: Tensor, *, distilled: bool) -> None:
    """Load the weights of `--start`: a pack for the students, a checkpoint for the teacher."""
    for name, net in nets.items():
        if distilled:
            load_student(net, start, name, crops)
        else:
            net.load_state_dict(load_means(start, name))


def load_student(net: models.AttributeNet, pack: Path, role: str, crops: Tensor) -> None:
    """Load the net of `role` in `pack` into `net`, whose logits of other attributes keep their initial weights.

    `crops` (n, 3, side, side) are those of `tracing.unfold`.
    """
    part = models.ROLE_OUTPUTS[role]
    head, net.head = net.head, nn.Linear(net.head.in_features, part.stop - part.start)
    tracing.unfold(net, caffe.read(pack, role), crops)
    head.weight.data[part], head.bias.data[part] = net.head.weight.data, net.head.bias.data
    net.head = head


def load_teacher(checkpoint: Path) -> nn.Module:
    """Return the trained teacher for inference."""
    teacher = models.teacher().to(memory_format=torch.channels_last)
    teacher.load_state_dict(load_means(checkpoint, "teacher"))
    return teacher.eval()


def loss_of(run: Run, weights: Mapping[str, Weights], teacher: nn.Module | None, faces: Faces, batch: Batch) -> Tensor:
    """Return the sum of the losses of all nets of `run`, against the labels and, if given, against `teacher`."""
    crops, chosen = batch
    total = torch.zeros(())
    teacher_logits = None
    if teacher is not None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            teacher_logits = teacher(functional.interpolate(crops, TEACHER_SIDE, mode="bilinear")).float()
    for name, net in run.nets.items():
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(crops)
        loss = label_loss(logits.float(), faces, chosen, weights[name])
        if teacher_logits is not None:
            distillation_loss = teacher_loss(logits.float(), teacher_logits, weights[name])
            loss = (1 - DISTILLATION) * loss + DISTILLATION * distillation_loss
        total = total + loss
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["teacher", "students"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--start", type=Path, help="where a new run starts from: a checkpoint for the teacher, a pack for the students"
    )
    parser.add_argument("--teacher", type=Path, help="checkpoint of the teacher; by default teacher.pt in --out")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = read_arguments(parser)
    if arguments.stage == "teacher":
        train({"teacher": Weights(gender=1.0, age=1.0, race=0.5)}, arguments)
    else:
        students = {"gender": Weights(gender=1.0, age=0.3, race=0.1), "age": Weights(gender=0.2, age=1.0, race=0.1)}
        train(students, arguments)


if __name__ == "__main__":
    main()
