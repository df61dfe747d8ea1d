"""Train the net that enlarges pictures three times, on FairFace's chips and scene photos.

    python -m training.superres --faces FairFace --scenes SCENES --out runs

It sees the luma alone (Y of YCrCb), in which the eye looks for detail. A run that was cut off goes on from its last
checkpoint when it is started again.
"""

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.enlargement import SCALE, Shrinker, average, psnr, shrink
from training.faces import CHIP, read_faces
from training.models import EnlargingNet
from training.run import Run, read_arguments
from training.scenes import read_scenes, split

# The largest multiple of the scale that a chip holds.
SIDE = CHIP // SCALE * SCALE

# Of a batch: as many patches of chips as of scenes.
BATCH = 16
PEAK_RATE = 2e-3
SEED = 20261121

# Steps from one checkpoint to the next, and from one measurement to the next.
SAVED, MEASURED = 500, 2000

# How many of the validation chips are measured while training.
SOME = 300

# How patches are shrunk, and how often. Pictures are as sharp as their cameras and their senders made them: a net that
# only ever saw antialiased ones makes worse of the others than bicubic enlargement does.
SHRINKERS: tuple[Shrinker, ...] = (shrink, partial(shrink, antialias=False), average)
SHARES = (0.55, 0.35, 0.1)

# Some of them are a JPEG of some quality from then on.
COMPRESSED, QUALITIES = 0.15, (60, 96)

# Pixels at the edge of a shrunk patch that are left out of the loss: what lies beyond them would have changed them.
EDGE = 2

Planes = Sequence[NDArray[np.uint8]]


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The Y of YCrCb (height, width) of BGR pixels, height and width cut to multiples of the scale."""
    height, width = (side // SCALE * SCALE for side in pixels.shape[:2])
    return cv2.cvtColor(pixels[:height, :width], cv2.COLOR_BGR2YCrCb)[..., 0].astype(np.uint8, copy=False)


def patches(chips: NDArray[np.uint8], scenes: Planes, step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step: shrunk patches (n, 1, side / 3, side / 3) and what they were (n, 1, side, side), in 0..1."""
    rng = np.random.default_rng((SEED, step))
    planes = [luma(chips[index]) for index in rng.integers(len(chips), size=BATCH // 2)]
    planes += [scenes[index] for index in rng.integers(len(scenes), size=BATCH // 2)]
    large = torch.from_numpy(np.stack([_patch(plane, rng) for plane in planes])).unsqueeze(1) / 255
    chosen = rng.choice(len(SHRINKERS), BATCH, p=SHARES)
    small = torch.cat([SHRINKERS[way](picture[None]) for way, picture in zip(chosen, large, strict=True)])
    for index in np.flatnonzero(rng.random(BATCH) < COMPRESSED):
        small[index, 0] = compressed(small[index, 0], int(rng.integers(*QUALITIES)))
    return small, large


def compressed(small: Tensor, quality: int) -> Tensor:
    """What a JPEG of that quality leaves of luma (height, width) in 0..1."""
    pixels = small.mul(255).round().to(torch.uint8).numpy()
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)) / 255


def loss_of(net: torch.nn.Module, small: Tensor, large: Tensor) -> Tensor:
    """The mean absolute error."""
    with torch.autocast("cpu", torch.bfloat16):
        enlarged = net(small)
    inside = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    return (enlarged.float() - functional.pixel_unshuffle(large, SCALE))[inside].abs().mean()


def scene_planes(folder: Path) -> tuple[Planes, Planes]:
    """The luma of the scenes to train on, those too small for a patch left out, and of the last `photo` scenes."""
    trained, unseen = split(read_scenes(folder))
    planes, photos = ([luma(scene.pixels) for scene in scenes] for scenes in (trained, unseen["photo"]))
    return [plane for plane in planes if min(plane.shape) >= SIDE], photos


def train(arguments: argparse.Namespace) -> None:
    torch.manual_seed(SEED)
    chips = read_faces(arguments.faces, "train", arguments.cache).chips
    scenes, photos = scene_planes(arguments.scenes)
    unseen = [luma(chip) for chip in read_faces(arguments.faces, "val", arguments.cache).chips[:SOME]]
    net = EnlargingNet()
    run = Run({"superres": net}, arguments.out / "superres.pt", arguments.steps, PEAK_RATE, adaptive=True)
    began, losses = time.monotonic(), []
    while run.steps < arguments.steps:
        losses.append(run.step(loss_of(net, *patches(chips, scenes, run.steps))))
        if run.steps % SAVED == 0 or run.steps == arguments.steps:
            run.save()
        if run.steps % MEASURED == 0 or run.steps == arguments.steps:
            seconds, loss = round(time.monotonic() - began), round(float(np.mean(losses)), 5)
            mean = run.means["superres"]
            scores = {
                f"{what}, {how}": psnr(mean, planes, shrinker)
                for what, planes in (("faces", unseen), ("photos", photos))
                for how, shrinker in (("antialiased", SHRINKERS[0]), ("aliased", SHRINKERS[1]))
            }
            print(json.dumps({"steps": run.steps, "seconds": seconds, "loss": loss, **scores}), flush=True)
            losses = []


def _patch(plane: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of a plane, turned and mirrored somehow."""
    top, left = (int(rng.integers(length - SIDE + 1)) for length in plane.shape)
    patch = np.rot90(plane[top : top + SIDE, left : left + SIDE], int(rng.integers(4)))
    return patch[:, ::-1] if rng.random() < 0.5 else patch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=77000)
    arguments = read_arguments(parser)
    train(arguments)


if __name__ == "__main__":
    main()
