"""Train the super-resolution net (x3) on FairFace's chips and scene photos.

    python -m training.enhance --faces FairFace --scenes SCENES --out runs

The net gets luma only (Y of YCrCb), because people see little detail in colour. An interrupted run continues from its
last checkpoint.
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

from training.faces import CHIP, read_faces
from training.models import EnhanceNet
from training.resampling import SCALE, Downscaler, downscale, downscale_by_averaging, psnr
from training.run import Run, read_arguments
from training.scenes import read_scenes, split

# The side of a training patch in pixels: the largest multiple of the scale that fits into a chip.
SIDE = CHIP // SCALE * SCALE

# Patches per batch; half of them are cut from chips, half from scenes.
BATCH = 16

# docs/decisions.md compares the losses that were tried at this rate.
PEAK_RATE = 2e-3
SEED = 20261121

# Steps between two checkpoints, and between two evaluations.
CHECKPOINT_STEPS, EVALUATION_STEPS = 500, 2000

# Validation chips per evaluation.
EVALUATION_CHIPS = 300

# How patches are downscaled, and the share of each way. Cameras and senders make images of every sharpness: a net that
# learns from antialiased ones alone is worse than bicubic upscaling on aliased ones (docs/decisions.md).
DOWNSCALERS: tuple[Downscaler, ...] = (downscale, partial(downscale, antialias=False), downscale_by_averaging)
SHARES = (0.55, 0.35, 0.1)

# The share of downscaled patches that are compressed, and the range of their JPEG qualities.
COMPRESSED, QUALITIES = 0.15, (60, 96)

# Pixels at the edge of a downscaled patch that do not count in the loss, because they depend on pixels outside it.
EDGE = 2

Planes = Sequence[NDArray[np.uint8]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=77000)
    arguments = read_arguments(parser)
    train(arguments)


def train(arguments: argparse.Namespace) -> None:
    """Train until `--steps`; print one line of JSON for each evaluation, with scores in dB."""
    torch.manual_seed(SEED)
    chips = read_faces(arguments.faces, "train", arguments.cache).chips
    scenes, photos = scene_planes(arguments.scenes)
    faces = [luma(chip) for chip in read_faces(arguments.faces, "val", arguments.cache).chips[:EVALUATION_CHIPS]]
    net = EnhanceNet()
    run = Run({"superres": net}, arguments.out / "superres.pt", arguments.steps, PEAK_RATE, adaptive=True)
    started, losses = time.monotonic(), []
    while run.steps < arguments.steps:
        losses.append(run.step(loss_of(net, *patches(chips, scenes, run.steps))))
        last = run.steps == arguments.steps
        if last or run.steps % CHECKPOINT_STEPS == 0:
            run.save()
        if last or run.steps % EVALUATION_STEPS == 0:
            seconds, loss = round(time.monotonic() - started), round(float(np.mean(losses)), 5)
            scores = _scores(run.means["superres"], {"faces": faces, "photos": photos})
            print(json.dumps({"steps": run.steps, "seconds": seconds, "loss": loss, **scores}), flush=True)
            losses = []


def _scores(net: torch.nn.Module, images: dict[str, Planes]) -> dict[str, float]:
    return {
        f"{name}, {reduction}": psnr(net, planes, downscaler)
        for name, planes in images.items()
        for reduction, downscaler in (("antialiased", DOWNSCALERS[0]), ("aliased", DOWNSCALERS[1]))
    }


def scene_planes(folder: Path) -> tuple[Planes, Planes]:
    """Return the luma of the training scenes that are large enough for a patch, and of the unseen `photo` scenes."""
    training_scenes, unseen = split(read_scenes(folder))
    planes, photos = ([luma(scene.pixels) for scene in scenes] for scenes in (training_scenes, unseen["photo"]))
    return [plane for plane in planes if min(plane.shape) >= SIDE], photos


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the Y of YCrCb, (height, width) uint8, of BGR pixels; both sides are cut to multiples of the scale."""
    height, width = (side // SCALE * SCALE for side in pixels.shape[:2])
    return cv2.cvtColor(pixels[:height, :width], cv2.COLOR_BGR2YCrCb)[..., 0].astype(np.uint8, copy=False)


def patches(chips: NDArray[np.uint8], scenes: Planes, step: int) -> tuple[Tensor, Tensor]:
    """Return the batch of a step, in 0..1.

    The inputs are downscaled patches (n, 1, side / 3, side / 3), the targets the originals (n, 1, side, side).
    """
    rng = np.random.default_rng((SEED, step))
    planes = [luma(chips[index]) for index in rng.integers(len(chips), size=BATCH // 2)]
    planes += [scenes[index] for index in rng.integers(len(scenes), size=BATCH // 2)]
    large = torch.from_numpy(np.stack([_patch(plane, rng) for plane in planes])).unsqueeze(1) / 255
    chosen = rng.choice(len(DOWNSCALERS), BATCH, p=SHARES)
    small = torch.cat([DOWNSCALERS[index](patch[None]) for index, patch in zip(chosen, large, strict=True)])
    for index in np.flatnonzero(rng.random(BATCH) < COMPRESSED):
        small[index, 0] = compress(small[index, 0], int(rng.integers(*QUALITIES)))
    return small, large


def _patch(plane: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random square of a plane, rotated by a multiple of 90 degrees, mirrored half of the time."""
    top, left = (int(rng.integers(length - SIDE + 1)) for length in plane.shape)
    patch = np.rot90(plane[top : top + SIDE, left : left + SIDE], int(rng.integers(4)))
    return patch[:, ::-1] if rng.random() < 0.5 else patch


def compress(small: Tensor, quality: int) -> Tensor:
    """Return luma (height, width) in 0..1 after it was encoded as a JPEG of that quality."""
    pixels = small.mul(255).round().to(torch.uint8).numpy()
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)) / 255


def loss_of(net: torch.nn.Module, small: Tensor, large: Tensor) -> Tensor:
    """Return the mean absolute error."""
    with torch.autocast("cpu", torch.bfloat16):
        output = net(small)
    inside = (..., slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    return (output.float() - functional.pixel_unshuffle(large, SCALE))[inside].abs().mean()


if __name__ == "__main__":
    main()
