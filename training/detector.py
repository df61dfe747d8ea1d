"""Train the face detector: `python -m training.detector --scenes SCENES --faces FairFace --out runs`.

An interrupted run continues from its last round. After every fifth round, cv2.dnn runs the exported net on unseen
scenes.
"""

import argparse
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training import caffe, models, tracing
from training.attributes import to_tensor
from training.faces import read_faces
from training.models import LEVELS
from training.run import Run, read_arguments
from training.scenes import Composer, Sample, Scene, read_scenes, split
from visage.images.boxes import intersection_over_union

SIDE = 320
BATCH = 32
PEAK_RATE = 0.02
SEED = 20261121

# Steps between two checkpoints, rounds between two evaluations on unseen scenes, and their longer side in pixels.
ROUND, ROUNDS_PER_EVALUATION, EVALUATION_SIDE = 100, 5, 480

# A prior is positive from the first IoU with a face on, and negative below the second. Those between are ignored.
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.35

# The raw confidence that becomes 0.5 in the pack. Mining of hard negatives makes raw confidences too high. The value
# was chosen for few false positives in the unseen photos.
RAW_CONFIDENCE = 0.88
RAW_LOGIT = math.log(RAW_CONFIDENCE / (1 - RAW_CONFIDENCE))

# Hard negatives per positive prior in the loss (Liu et al., 2015), and the least number per image.
NEGATIVES, MIN_NEGATIVES = 5, 40


def priors(height: int, width: int) -> NDArray[np.float32]:
    """Return the priors (n, 4): centre x, centre y, width, height in pixels, in the order of the maps."""
    boxes = []
    for level in LEVELS:
        rows, columns = (math.ceil(side / level.stride) for side in (height, width))
        y, x = np.meshgrid(np.arange(rows) + 0.5, np.arange(columns) + 0.5, indexing="ij")
        sides = np.array(level.sides)
        grid = np.stack([x, y], -1).reshape(-1, 1, 2) * level.stride
        centres = np.broadcast_to(grid, (rows * columns, len(sides), 2))
        shape = np.broadcast_to(sides[None, :, None], centres.shape)
        boxes.append(np.concatenate([centres, shape], -1).reshape(-1, 4))
    return np.concatenate(boxes).astype(np.float32)


def targets(sample: Sample, prior_boxes: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the label of each prior, 1 (face), 0 (background) or -1 (ignored), and the offsets (n, 4) to its face."""
    corners = np.concatenate(
        [prior_boxes[:, :2] - prior_boxes[:, 2:] / 2, prior_boxes[:, :2] + prior_boxes[:, 2:] / 2], 1
    )
    labels = np.zeros(len(prior_boxes), np.int64)
    offsets = np.zeros((len(prior_boxes), 4), np.float32)
    if len(sample.ignored):
        low = np.maximum(corners[:, None, :2], sample.ignored[None, :, :2])
        high = np.minimum(corners[:, None, 2:], sample.ignored[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(2)
        smaller = np.minimum(
            prior_boxes[:, 2:].prod(1)[:, None], (sample.ignored[:, 2:] - sample.ignored[:, :2]).prod(1)[None]
        )
        labels[(shared > 0.3 * np.maximum(smaller, 1e-6)).any(1)] = -1
    if len(sample.faces):
        shares = intersection_over_union(corners, sample.faces)
        best = shares.argmax(1)
        share = shares.max(1)
        labels[(share >= NEGATIVE_IOU) & (share < POSITIVE_IOU)] = -1
        chosen = share >= POSITIVE_IOU
        for face in range(len(sample.faces)):
            closest = shares[:, face].argmax()
            chosen[closest], best[closest] = True, face
        labels[chosen] = 1
        face = sample.faces[best[chosen]]
        prior = prior_boxes[chosen]
        centre = ((face[:, :2] + face[:, 2:]) / 2 - prior[:, :2]) / prior[:, 2:] / caffe.VARIANCES[0]
        size = np.log((face[:, 2:] - face[:, :2]) / prior[:, 2:]) / caffe.VARIANCES[2]
        offsets[chosen] = np.concatenate([centre, size], 1)
    return labels, offsets


def flatten(outputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the class logits (n, priors, 2) and the offsets (n, priors, 4) of the maps."""
    parts = [
        [maps.permute(0, 2, 3, 1).reshape(len(maps), -1, size) for maps in outputs[first::2]]
        for first, size in ((0, 2), (1, 4))
    ]
    return torch.cat(parts[0], 1).float(), torch.cat(parts[1], 1).float()


def loss_of(outputs: list[Tensor], labels: Tensor, offsets: Tensor) -> Tensor:
    """Return cross-entropy of the faces and the hard negatives, plus smooth L1 of the offsets, per positive prior."""
    logits, moves = flatten(outputs)
    each = functional.cross_entropy(logits.reshape(-1, 2), labels.clamp(min=0).reshape(-1), reduction="none")
    each = each.reshape(labels.shape)
    positive = labels == 1
    hardest = torch.where(labels == 0, each.detach(), torch.tensor(-1.0)).sort(1, descending=True)
    rank = torch.empty_like(hardest.indices).scatter_(
        1, hardest.indices, torch.arange(labels.shape[1]).expand_as(hardest.indices)
    )
    wanted = (NEGATIVES * positive.sum(1, keepdim=True)).clamp(min=MIN_NEGATIVES)
    negative = (labels == 0) & (rank < wanted)
    count = positive.sum().clamp(min=1)
    box = functional.smooth_l1_loss(moves[positive], offsets[positive], reduction="sum")
    return (each[positive | negative].sum() + box) / count


def stream(
    composer: Composer, prior_boxes: NDArray[np.float32], first: int, workers: int
) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches without end, from number `first` on: images, labels and offsets."""
    ready: list[queue.Queue[tuple[Tensor, ...]]] = [queue.Queue(3) for _ in range(workers)]

    def work(worker: int) -> None:
        number = first + worker
        while True:
            rng = np.random.default_rng((SEED, number))
            samples = [composer.compose(rng) for _ in range(BATCH)]
            labels, offsets = zip(*(targets(sample, prior_boxes) for sample in samples), strict=True)
            images = to_tensor(np.stack([sample.pixels for sample in samples]))
            ready[worker].put((images, torch.from_numpy(np.stack(labels)), torch.from_numpy(np.stack(offsets))))
            number += workers

    for worker in range(workers):
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    number = first
    while True:
        yield ready[(number - first) % workers].get()
        number += 1


def read_net(model: torch.nn.Module) -> cv2.dnn.Net:
    """Export `model` in memory and read it with cv2.dnn."""
    net, outputs = tracing.trace(model, "visage_face", (320, 320))
    tracing.add_detection(net, outputs)
    files = (np.frombuffer(content, np.uint8) for content in (net.prototxt(), net.caffemodel(half=True)))
    return cv2.dnn.readNetFromCaffe(*files)


def detect(net: cv2.dnn.Net, pixels: NDArray[np.uint8], longer: int) -> NDArray[np.float32]:
    """Return (n, 5): confidence, x1, y1, x2, y2 in pixels of `pixels`, whose longer side is fed as `longer` pixels."""
    height, width = pixels.shape[:2]
    scale = longer / max(height, width)
    size = (round(width * scale), round(height * scale))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
    net.setInput(to_tensor(resized[None].astype(np.uint8, copy=False)).contiguous().numpy())
    rows = net.forward()[0, 0]
    return np.concatenate([rows[:, 2:3], rows[:, 3:7] * np.array([width, height] * 2, np.float32)], 1)


def curve(found: list[NDArray[np.float32]], scenes: list[Scene], least: float) -> dict[str, list[int]]:
    """Return true and false positives by confidence threshold; faces below `least` pixels in height do not count."""
    result = {}
    for confidence in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        true_positives = false_positives = 0
        for detections, scene in zip(found, scenes, strict=True):
            boxes = detections[detections[:, 0] >= confidence, 1:]
            high = scene.faces[:, 3] - scene.faces[:, 1] >= least
            if len(boxes) and high.any():
                true_positives += int((intersection_over_union(scene.faces[high], boxes).max(1) > 0.4).sum())
            marked = np.concatenate([scene.faces, scene.difficult])
            if len(boxes):
                false_positives += int((intersection_over_union(boxes, marked).max(1, initial=0) <= 0.3).sum())
        result[str(confidence)] = [true_positives, false_positives]
    return result


def evaluate(model: torch.nn.Module, unseen: dict[str, list[Scene]], longer: int) -> dict[str, dict[str, list[int]]]:
    """Return the `curve` of the exported net on each set of unseen scenes."""
    net = read_net(model)
    return {
        name: curve([detect(net, scene.pixels, longer) for scene in scenes], scenes, 20)
        for name, scenes in unseen.items()
    }


def train(arguments: argparse.Namespace) -> None:
    """Train until `--rounds`; print one line of JSON per round, with the curves after some of them."""
    torch.manual_seed(SEED)
    scenes, unseen = split(read_scenes(arguments.scenes))
    composer = Composer(scenes, read_faces(arguments.faces, "train", arguments.cache).chips, SIDE)
    checkpoint = arguments.out / "detector.pt"
    prior_boxes = priors(SIDE, SIDE)
    net = models.FaceNet()
    if arguments.start:
        rng = np.random.default_rng(SEED)
        load_pack(net, arguments.start, to_tensor(np.stack([composer.compose(rng).pixels for _ in range(2 * BATCH)])))
    run = Run({"face": net}, checkpoint, arguments.rounds * ROUND, PEAK_RATE)
    batches = stream(composer, prior_boxes, run.steps, arguments.workers)
    for number in range(run.steps // ROUND, arguments.rounds):
        started = time.monotonic()
        run.train()
        losses = [run.step(batch_loss(run.nets["face"], *next(batches))) for _ in range(ROUND)]
        run.save()
        evaluated = (number + 1) % ROUNDS_PER_EVALUATION == 0
        curves = evaluate(run.means["face"], unseen, EVALUATION_SIDE) if evaluated else {}
        seconds, loss = round(time.monotonic() - started), round(float(np.mean(losses)), 3)
        print(json.dumps({"round": number + 1, "seconds": seconds, "loss": loss, **curves}), flush=True)


def load_pack(net: models.FaceNet, pack: Path, images: Tensor) -> None:
    """Load the face net of `pack` into `net`, with its raw confidences; `images` are those of `tracing.unfold`."""
    tracing.unfold(net, caffe.read(pack, "face"), images)
    for classes in net.classes:
        classes.bias.data[1::2] += RAW_LOGIT


def batch_loss(net: torch.nn.Module, images: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = net(images)
    return loss_of(outputs, labels, offsets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="pack whose face net a new run starts from")
    parser.add_argument("--rounds", type=int, default=90)
    arguments = read_arguments(parser)
    train(arguments)


if __name__ == "__main__":
    main()
