"""Train two-layer heads on the features of faceres_deep.onnx: the strongest teacher of gender and age.

    python -m training.distillation.heads --data FairFace

Each of `FOLDS` heads sees all chips but its fold. The answer for a chip of the training set is that of the head which
did not see it, so that a student learns how sure a teacher is of a new face, not what it has learned by heart. The
answer for any other chip is the mean of all heads.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training import models
from training.attributes import Weights, label_loss
from training.distillation import features
from training.distillation.features import Features
from training.distillation.mobilenet import FEATURES
from training.faces import Faces, read_faces
from training.run import read_arguments
from training.scores import Answers, answers_in, score

FOLDS = 5
HIDDEN, DROPOUT = 512, 0.5
BATCH, RATE, WEIGHT_DECAY = 256, 1e-3, 1e-2
WEIGHTS = Weights(gender=1.0, age=1.0, race=0.2)
SEED = 20261129


def head() -> nn.Sequential:
    """A head that turns (n, 1024) features into (n, `models.OUTPUT_COUNT`) logits."""
    last = nn.Linear(HIDDEN, models.OUTPUT_COUNT)
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), last)


def fold_of(count: int) -> NDArray[np.int64]:
    """The fold of each of `count` chips, (count,) int64."""
    return np.random.default_rng(SEED).permutation(count) % FOLDS


def train(known: Features, faces: Faces, chosen: NDArray[np.intp], epochs: int) -> nn.Sequential:
    """Return a head that has seen the faces `chosen`, as they are and mirrored."""
    net = head().train()
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * -(-len(chosen) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for epoch in range(epochs):
        rng = np.random.default_rng((SEED, epoch))
        order = rng.permutation(chosen)
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            mirrored = rng.random(len(batch)) < 0.5
            values = np.where(mirrored[:, None], known.mirrored[batch], known.plain[batch])
            loss = label_loss(net(torch.from_numpy(values).float()), faces, batch, WEIGHTS)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def answers(nets: list[nn.Sequential], known: Features, folds: NDArray[np.int64] | None = None) -> Answers:
    """The mean of all heads over plain and mirrored chips; with `folds`, of the head that did not see the chip."""
    each = [answers_of(net, known) for net in nets]
    genders, ages = (np.stack([getattr(one, name) for one in each]) for name in ("genders", "ages"))
    if folds is None:
        return Answers(genders.mean(0), ages.mean(0))
    index = np.arange(len(known))
    return Answers(genders[folds, index], ages[folds, index])


def answers_of(net: nn.Module, known: Features) -> Answers:
    """The mean of the answers of one head for plain and for mirrored chips."""
    with torch.no_grad():
        both = [answers_in(net(torch.from_numpy(part).float())) for part in (known.plain, known.mirrored)]
    return mean(both)


def mean(each: list[Answers], shares: list[float] | None = None) -> Answers:
    """The mean of several answers for the same faces, weighted by `shares` if given."""
    return Answers(*(np.average([getattr(one, name) for one in each], 0, shares) for name in ("genders", "ages")))


def save(nets: list[nn.Sequential], path: Path) -> None:
    torch.save([net.state_dict() for net in nets], path)


def load(path: Path) -> list[nn.Sequential]:
    """The heads of a file, in evaluation mode."""
    nets = []
    for state in torch.load(path):
        net = head()
        net.load_state_dict(state)
        nets.append(net.eval())
    return nets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--limit", type=int, help="the number of chips of each part; by default all")
    arguments = read_arguments(parser)
    torch.manual_seed(SEED)
    began = time.monotonic()
    faces, unseen = (_first(read_faces(arguments.data, part, arguments.cache), arguments) for part in ("train", "val"))
    known = features.read(arguments.out / "features_train", len(faces))
    folds = fold_of(len(faces))
    nets = [train(known, faces, np.flatnonzero(folds != fold), arguments.epochs) for fold in range(FOLDS)]
    save(nets, arguments.out / "heads.pt")
    print(json.dumps({"chips": "train, of other folds", **score(answers(nets, known, folds), faces)}))
    found = answers(nets, features.read(arguments.out / "features_val", len(unseen)))
    print(json.dumps({"chips": "val", "seconds": round(time.monotonic() - began), **score(found, unseen)}), flush=True)


def _first(faces: Faces, arguments: argparse.Namespace) -> Faces:
    return faces.first(arguments.limit) if arguments.limit else faces


if __name__ == "__main__":
    main()
