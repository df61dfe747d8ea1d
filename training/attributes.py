"""Train the gender and age nets: first a teacher that is too slow to serve, then two small nets that learn from it.

    python -m training.attributes teacher --data FairFace --out runs
    python -m training.attributes students --data FairFace --out runs

A run that was cut off goes on from its last epoch when it is started again.
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

# The side of the crops that the shipped nets take.
SIDE = 72

# The teacher sees more; in the first half of a run from scratch less, which takes half the time.
TEACHER_SIDE, TEACHER_EARLY_SIDE = 80, 56
BATCH = 128
PEAK_RATE, KERNEL_RATE = 0.05, 0.04

# Crops in which the batch norms of a student that begins with a pack's weights are measured.
MEASURED = 1000

# The part of these rates that a run needs which begins with trained weights: at more it first unlearns them.
START_RATE = 0.4
SEED = 20261121

# How much of a student's loss is the teacher's opinion rather than the label.
TEACHING = 0.5

# FairFace's 70+ is open; 70 to 100 is how the manifest writes it.
MIDDLES = torch.tensor([(first + last) / 2 for first, last in AGE_RANGES])

# The mean and the scale that the manifest names: crops come out in about -1..1.
MEAN, SCALE = 127.5, 1 / 127.5


# Crops as the nets take them, and the indices of their faces.
Batch = tuple[Tensor, NDArray[np.int64]]


@dataclass(frozen=True)
class Weights:
    """How much each answer counts in a net's loss. The others help it to see what the one that it is for rests on."""

    gender: float
    age: float
    race: float


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """(n, side, side, 3) uint8 BGR crops as the nets take them."""
    blob = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    return ((blob - MEAN) * SCALE).contiguous(memory_format=torch.channels_last)


def batches(faces: Faces, epoch: int, side: int, workers: int) -> Iterator[Batch]:
    """One pass over `faces` in random order: augmented crops and the indices of their faces."""
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
    """Each group's share of the label: most to the group named, some to its neighbours, whose faces look alike."""
    distance = (torch.arange(len(AGE_RANGES))[None] - ages[:, None]).abs().float()
    weight = torch.exp(-(distance**2) / (2 * 0.55**2))
    return weight / weight.sum(1, keepdim=True)


def label_loss(logits: Tensor, faces: Faces, chosen: NDArray[np.int64], weights: Weights) -> Tensor:
    """Against the labels: gender, age (groups and years) and race, each with its weight."""
    gender = functional.cross_entropy(
        logits[:, models.GENDER], torch.from_numpy(faces.genders[chosen]), label_smoothing=0.05
    )
    ages = torch.from_numpy(faces.ages[chosen])
    groups = functional.cross_entropy(logits[:, models.AGE], age_targets(ages))
    years = (logits[:, models.AGE].softmax(1) @ MIDDLES - MIDDLES[ages]).abs().mean()
    race = functional.cross_entropy(logits[:, models.RACE], torch.from_numpy(faces.races[chosen]), label_smoothing=0.1)
    return weights.gender * gender + weights.age * (groups + 0.03 * years) + weights.race * race


def teacher_loss(logits: Tensor, taught: Tensor, weights: Weights) -> Tensor:
    """Against the teacher's answer to the same crops, both softened (Hinton et al., 2015)."""
    heat = 2.0
    total = torch.zeros(())
    parts = ((models.GENDER, weights.gender), (models.AGE, weights.age), (models.RACE, weights.race))
    for part, weight in parts:
        target = (taught[:, part] / heat).softmax(1)
        total = total + weight * heat**2 * functional.kl_div(
            (logits[:, part] / heat).log_softmax(1), target, reduction="batchmean"
        )
    return total


def score(model: nn.Module, faces: Faces, crops: Tensor) -> dict[str, float]:
    """Gender accuracy; age: right group, within one group, mean error in years of the expectation."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = torch.cat([model(part).float() for part in crops.split(250)])
    genders, ages = torch.from_numpy(faces.genders), torch.from_numpy(faces.ages)
    groups = logits[:, models.AGE].argmax(1)
    years = logits[:, models.AGE].softmax(1) @ MIDDLES
    return {
        "gender": float((logits[:, models.GENDER].argmax(1) == genders).float().mean()),
        "age": float((groups == ages).float().mean()),
        "within_one": float(((groups - ages).abs() <= 1).float().mean()),
        "years": float((years - MIDDLES[ages]).abs().mean()),
    }


def train(weights: dict[str, Weights], arguments: argparse.Namespace) -> None:
    """Train a net for each name of `weights` over the same crops."""
    torch.manual_seed(SEED)
    faces = read_faces(arguments.data, "train", arguments.cache)
    unseen = read_faces(arguments.data, "val", arguments.cache)
    teaching = arguments.what == "students"
    full_side = SIDE if teaching else TEACHER_SIDE
    unseen_crops = to_tensor(plain_crops(unseen.chips, full_side))
    tutor = load_teacher(arguments.teacher or arguments.out / "teacher.pt") if teaching else None
    nets = {name: models.student() if teaching else models.teacher() for name in weights}
    steps = len(faces) // BATCH
    for name, net in nets.items() if arguments.start else ():
        if teaching:
            start_student(net, arguments.start, name, unseen_crops[:MEASURED])
        else:
            net.load_state_dict(load_means(arguments.start, name))
    rates = [(START_RATE if arguments.start else 1) * rate for rate in (PEAK_RATE, KERNEL_RATE)]
    run = Run(nets, arguments.out / f"{arguments.what}.pt", arguments.epochs * steps, *rates)
    for epoch in range(run.steps // steps, arguments.epochs):
        began = time.monotonic()
        early = not teaching and not arguments.start and epoch < arguments.epochs // 2
        side = TEACHER_EARLY_SIDE if early else full_side
        run.train()
        losses = [
            run.step(loss_of(run, weights, tutor, faces, batch))
            for batch in batches(faces, epoch, side, arguments.workers)
        ]
        run.save()
        result = {name: score(mean, unseen, unseen_crops) for name, mean in run.means.items()}
        seconds, loss = round(time.monotonic() - began), round(float(np.mean(losses)), 4)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "loss": loss, **result}), flush=True)


def start_student(net: models.AttributeNet, pack: Path, role: str, crops: Tensor) -> None:
    """Give `net` the weights of the gender or age net of `pack`; what it answered in training only is lost."""
    part = models.PARTS[role]
    head, net.head = net.head, nn.Linear(net.head.in_features, part.stop - part.start)
    tracing.unfold(net, caffe.read(pack, role), crops)
    head.weight.data[part], head.bias.data[part] = net.head.weight.data, net.head.bias.data
    net.head = head


def load_teacher(checkpoint: Path) -> nn.Module:
    """The teacher as it is asked by students: it learns no more."""
    tutor = models.teacher().to(memory_format=torch.channels_last)
    tutor.load_state_dict(load_means(checkpoint, "teacher"))
    return tutor.eval()


def loss_of(run: Run, weights: Mapping[str, Weights], tutor: nn.Module | None, faces: Faces, batch: Batch) -> Tensor:
    """What the nets of `run` have yet to learn of a batch: of its labels and, where there is a tutor, from it."""
    crops, chosen = batch
    total = torch.zeros(())
    taught = None
    if tutor is not None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            taught = tutor(functional.interpolate(crops, TEACHER_SIDE, mode="bilinear")).float()
    for name, net in run.nets.items():
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(crops)
        loss = label_loss(logits.float(), faces, chosen, weights[name])
        if taught is not None:
            loss = (1 - TEACHING) * loss + TEACHING * teacher_loss(logits.float(), taught, weights[name])
        total = total + loss
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["teacher", "students"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--start", type=Path, help="what a fresh run begins with: a teacher's checkpoint, a students' pack"
    )
    parser.add_argument("--teacher", type=Path, help="checkpoint of the teacher, where it is not this run's own")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = read_arguments(parser)
    if arguments.what == "teacher":
        train({"teacher": Weights(gender=1.0, age=1.0, race=0.5)}, arguments)
    else:
        students = {"gender": Weights(gender=1.0, age=0.3, race=0.1), "age": Weights(gender=0.2, age=1.0, race=0.1)}
        train(students, arguments)


if __name__ == "__main__":
    main()
