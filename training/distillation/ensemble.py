"""Average what several teachers say of every chip, and save it as soft labels.

    python -m training.distillation.ensemble --data FairFace --source train

The teachers are the heads of `training.distillation.heads`, the net of `training.attributes` and, if given, a
pack. Each sees a chip and the mirrored chip. The scores of each teacher and of their mean are printed for labelled
chips; those for `train` flatter all teachers but the heads, which are asked about chips that they did not learn.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training import attributes
from training.attributes import to_tensor
from training.distillation import features, heads
from training.distillation.heads import mean
from training.faces import plain_crops, read_faces
from training.run import read_arguments
from training.scores import Answers, answers_in, score
from visage.nets.classifier import infer_together, read_classifiers
from visage.packs.pack import read_pack

BATCH = 250


def answers_of_teacher(checkpoint: Path, chips: NDArray[np.uint8]) -> Answers:
    """What the teacher of `training.attributes` says."""
    net = attributes.load_teacher(checkpoint)

    def answer(crops: Tensor) -> Answers:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return answers_in(net(crops))

    return _both_ways(answer, chips, attributes.TEACHER_SIDE)


def answers_of_pack(folder: Path, chips: NDArray[np.uint8]) -> Answers:
    """What the gender and age nets of a pack of ours say."""
    pack = read_pack(folder)
    classifiers = read_classifiers(pack.gender, pack.age)

    def answer(crops: Tensor) -> Answers:
        pixels = (crops / attributes.SCALE + attributes.MEAN).round().byte().contiguous().numpy()
        found = [[infer_together([each], blob[None])[0] for blob in pixels] for each in classifiers]
        return Answers(*(np.array(rows, np.float32) for rows in found))

    return _both_ways(answer, chips, attributes.SIDE)


def _both_ways(answer: Callable[[Tensor], Answers], chips: NDArray[np.uint8], side: int) -> Answers:
    parts = []
    for start in range(0, len(chips), BATCH):
        crops = to_tensor(plain_crops(chips[start : start + BATCH], side))
        parts.append(mean([answer(crops), answer(crops.flip(3))]))
    return Answers(np.concatenate([each.genders for each in parts]), np.concatenate([each.ages for each in parts]))


def save(answers: Answers, path: Path) -> None:
    """Write answers as 16-bit floats, whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, genders=answers.genders.astype(np.float16), ages=answers.ages.astype(np.float16))
    partial.replace(path)


def load(path: Path) -> Answers:
    """The answers that `save` wrote, as float32 whose rows sum to one."""
    with np.load(path) as saved:
        parts = [saved[name].astype(np.float32) for name in ("genders", "ages")]
    return Answers(*(part / part.sum(1, keepdims=True) for part in parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--source", choices=features.SOURCES, required=True)
    parser.add_argument("--teacher", type=Path, default=Path("runs/teacher.pt"), help="the second teacher's checkpoint")
    parser.add_argument("--pack", type=Path, help="a pack of ours that answers too")
    parser.add_argument("--shares", type=float, nargs="+", default=[2, 1, 1], help="of heads, teacher and pack")
    parser.add_argument("--limit", type=int, help="the number of chips; by default all")
    arguments = read_arguments(parser)
    chips = features.read_chips(arguments.source, arguments.data, arguments.cache)[: arguments.limit]
    known = features.read(arguments.out / f"features_{arguments.source}", len(chips))
    folds = heads.fold_of(len(chips)) if arguments.source == "train" else None
    each = {
        "heads": heads.answers(heads.load(arguments.out / "heads.pt"), known, folds),
        "teacher": answers_of_teacher(arguments.teacher, chips),
    }
    if arguments.pack:
        each["pack"] = answers_of_pack(arguments.pack, chips)
    each["mean"] = mean(list(each.values()), arguments.shares[: len(each)])
    save(each["mean"], arguments.out / f"soft_{arguments.source}.npz")
    if arguments.source != "photos":
        faces = read_faces(arguments.data, arguments.source, arguments.cache).first(len(chips))
        for name, answers in each.items():
            print(json.dumps({"teacher": name, **score(answers, faces)}), flush=True)


if __name__ == "__main__":
    main()
