"""Cut chips like FairFace's from labelled photos, so that the students see more faces than FairFace's.

    python -m training.distillation.photos --photos DIR --labels runs/labels

Photos and labels are those of `training.detection.labels`. A chip is turned upright by the landmarks, as the service
does it, and `training.faces.FACE_BOX` is the face's box in it. Each tar becomes one file of chips.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.detection.labels import Labels, decode, labels_of, load, read_tar
from training.faces import CHIP, FACE_BOX
from training.run import read_arguments
from visage.nets.crops import square_crop, turn_angles
from visage.nets.detections import Detections

# The longer side in pixels of the smallest face that becomes a chip. Gender and age cannot be seen in smaller ones.
SMALLEST = 40

# Of a crowd only the largest faces are taken, so that no single photo counts for too much.
MOST_OF_A_PHOTO = 8

_FACE_SIDE = FACE_BOX[3] - FACE_BOX[1]

# How far above the centre of the box the centre of a chip lies, in sides of the box.
_RAISED = ((FACE_BOX[1] + FACE_BOX[3]) / 2 - CHIP / 2) / _FACE_SIDE


def chips_of(photo: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    """Return the chips (n, 112, 112, 3) uint8 BGR of the larger faces of (h, w, 3) uint8 BGR `photo`."""
    boxes = labels.faces[:, :4]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    chosen = [index for index in np.argsort(-sides, kind="stable")[:MOST_OF_A_PHOTO] if sides[index] >= SMALLEST]
    points = labels.faces[:, 4:].reshape(-1, 5, 2)
    angles = turn_angles(Detections(boxes, np.ones(len(boxes), np.float32), points))
    chips = [_chip(photo, boxes[index], sides[index], float(angles[index])) for index in chosen]
    return np.array(chips, np.uint8).reshape(-1, CHIP, CHIP, 3)


def _chip(photo: NDArray[np.uint8], box: NDArray[np.float32], side: float, angle: float) -> NDArray[np.uint8]:
    upwards = np.array([math.sin(angle), -math.cos(angle)] * 2, np.float32)
    return square_crop(photo, box + upwards * _RAISED * side, CHIP / _FACE_SIDE, (CHIP, CHIP), angle)


def read(folder: Path) -> NDArray[np.uint8]:
    """All chips (n, 112, 112, 3) uint8 BGR of `folder`, in the order of their files.

    Raises:
        ValueError: there is none.
    """
    parts = [np.load(path) for path in sorted(folder.glob("*.npy")) if ".partial" not in path.name]
    if not parts:
        raise ValueError(f"{folder} has no chips: run python -m training.distillation.photos first.")
    return np.concatenate(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    arguments = read_arguments(parser)
    folder = arguments.cache / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for tar in sorted(arguments.photos.rglob("*.tar")):
        labels = labels_of(tar, arguments.labels)
        path = folder / f"{labels.stem}.npy"
        if path.exists() or not labels.exists():
            continue
        known = load(labels)
        chips = [chips_of(decode(content), known[name]) for name, content in read_tar(tar) if name in known]
        partial = path.with_suffix(".partial.npy")
        np.save(partial, np.concatenate([np.zeros((0, CHIP, CHIP, 3), np.uint8), *chips]))
        partial.replace(path)
        print(f"{path}: {sum(map(len, chips))} faces", flush=True)


if __name__ == "__main__":
    main()
