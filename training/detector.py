"""Train the face detector: `python -m training.detector --scenes SCENES --faces FairFace --out runs`.

A run that was cut off goes on from its last round when it is started again. Every fifth round the exported net is run
by cv2.dnn on scenes that it never saw.
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

# Steps between two checkpoints, and rounds between two looks at unseen scenes, fed at this longer side.
ROUND, ROUNDS_A_REPORT, TESTED_AT = 100, 5, 480

# A prior that shares half of its union with a face answers for it; between the two it answers for nothing.
MATCH, CLEAR = 0.5, 0.35

# The raw confidence that the pack calls 0.5. Training weighs faces against the hardest of the rest, so raw 0.5 is far
# too easily reached. Chosen on the unseen photos, for few false boxes in them.
RAW_CONFIDENCE = 0.88
RAW_LOGIT = math.log(RAW_CONFIDENCE / (1 - RAW_CONFIDENCE))

# Negatives a positive in the loss, the hardest ones (Liu et al., 2015), and as many a picture without faces.
NEGATIVES, NEGATIVES_ALONE = 5, 40


def priors(height: int, width: int) -> NDArray[np.float32]:
    """(n, 4) centre x, centre y, width, height in pixels, in the order of the maps."""
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


def targets(sample: Sample, anchors: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each prior 1 (face), 0 (none) or -1 (left out), and the offsets to its face."""
    corners = np.concatenate([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], 1)
    labels = np.zeros(len(anchors), np.int64)
    offsets = np.zeros((len(anchors), 4), np.float32)
    if len(sample.ignored):
        low = np.maximum(corners[:, None, :2], sample.ignored[None, :, :2])
        high = np.minimum(corners[:, None, 2:], sample.ignored[None, :, 2:])
        shared = np.clip(high - low, 0, None).prod(2)
        smaller = np.minimum(
            anchors[:, 2:].prod(1)[:, None], (sample.ignored[:, 2:] - sample.ignored[:, :2]).prod(1)[None]
        )
        labels[(shared > 0.3 * np.maximum(smaller, 1e-6)).any(1)] = -1
    if len(sample.faces):
        shares = intersection_over_union(corners, sample.faces)
        best = shares.argmax(1)
        share = shares.max(1)
        labels[(share >= CLEAR) & (share < MATCH)] = -1
        chosen = share >= MATCH
        for face in range(len(sample.faces)):
            closest = shares[:, face].argmax()
            chosen[closest], best[closest] = True, face
        labels[chosen] = 1
        face = sample.faces[best[chosen]]
        prior = anchors[chosen]
        centre = ((face[:, :2] + face[:, 2:]) / 2 - prior[:, :2]) / prior[:, 2:] / caffe.VARIANCES[0]
        size = np.log((face[:, 2:] - face[:, :2]) / prior[:, 2:]) / caffe.VARIANCES[2]
        offsets[chosen] = np.concatenate([centre, size], 1)
    return labels, offsets


def flatten(outputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(n, priors, 2) class logits and (n, priors, 4) offsets out of the maps."""
    parts = [
        [maps.permute(0, 2, 3, 1).reshape(len(maps), -1, size) for maps in outputs[first::2]]
        for first, size in ((0, 2), (1, 4))
    ]
    return torch.cat(parts[0], 1).float(), torch.cat(parts[1], 1).float()


def loss_of(outputs: list[Tensor], labels: Tensor, offsets: Tensor) -> Tensor:
    """Cross-entropy of the faces and the hardest of the rest, and how far the boxes are off."""
    logits, moves = flatten(outputs)
    each = functional.cross_entropy(logits.reshape(-1, 2), labels.clamp(min=0).reshape(-1), reduction="none")
    each = each.reshape(labels.shape)
    positive = labels == 1
    hardest = torch.where(labels == 0, each.detach(), torch.tensor(-1.0)).sort(1, descending=True)
    rank = torch.empty_like(hardest.indices).scatter_(
        1, hardest.indices, torch.arange(labels.shape[1]).expand_as(hardest.indices)
    )
    wanted = (NEGATIVES * positive.sum(1, keepdim=True)).clamp(min=NEGATIVES_ALONE)
    negative = (labels == 0) & (rank < wanted)
    count = positive.sum().clamp(min=1)
    box = functional.smooth_l1_loss(moves[positive], offsets[positive], reduction="sum")
    return (each[positive | negative].sum() + box) / count


def stream(composer: Composer, anchors: NDArray[np.float32], first: int, workers: int) -> Iterator[tuple[Tensor, ...]]:
    """Batches without end, from number `first` on: pictures, labels and offsets."""
    ready: list[queue.Queue[tuple[Tensor, ...]]] = [queue.Queue(3) for _ in range(workers)]

    def work(worker: int) -> None:
        number = first + worker
        while True:
            rng = np.random.default_rng((SEED, number))
            samples = [composer.compose(rng) for _ in range(BATCH)]
            labels, offsets = zip(*(targets(sample, anchors) for sample in samples), strict=True)
            pictures = to_tensor(np.stack([sample.pixels for sample in samples]))
            ready[worker].put((pictures, torch.from_numpy(np.stack(labels)), torch.from_numpy(np.stack(offsets))))
            number += workers

    for worker in range(workers):
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    number = first
    while True:
        yield ready[(number - first) % workers].get()
        number += 1


def read_net(model: torch.nn.Module) -> cv2.dnn.Net:
    """The exported net, read by cv2.dnn."""
    net, outputs = tracing.trace(model, "visage_face", (320, 320))
    tracing.add_detection(net, outputs)
    files = (np.frombuffer(content, np.uint8) for content in (net.prototxt(), net.caffemodel(half=True)))
    return cv2.dnn.readNetFromCaffe(*files)


def detect(net: cv2.dnn.Net, pixels: NDArray[np.uint8], longer: int) -> NDArray[np.float32]:
    """(n, 5) confidence and corners in pixels of the picture."""
    height, width = pixels.shape[:2]
    scale = longer / max(height, width)
    size = (round(width * scale), round(height * scale))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
    net.setInput(to_tensor(resized[None].astype(np.uint8, copy=False)).contiguous().numpy())
    rows = net.forward()[0, 0]
    return np.concatenate([rows[:, 2:3], rows[:, 3:7] * np.array([width, height] * 2, np.float32)], 1)


def curve(found: list[NDArray[np.float32]], scenes: list[Scene], least: float) -> dict[str, list[int]]:
    """Faces found and false boxes at several confidences; faces of fewer than `least` pixels do not count."""
    result = {}
    for confidence in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        hits = false = 0
        for boxes, scene in zip(found, scenes, strict=True):
            sure = boxes[boxes[:, 0] >= confidence, 1:]
            high = scene.faces[:, 3] - scene.faces[:, 1] >= least
            if len(sure) and high.any():
                hits += int((intersection_over_union(scene.faces[high], sure).max(1) > 0.4).sum())
            known = np.concatenate([scene.faces, scene.perhaps])
            false += int((intersection_over_union(sure, known).max(1, initial=0) <= 0.3).sum()) if len(sure) else 0
        result[str(confidence)] = [hits, false]
    return result


def report(model: torch.nn.Module, unseen: dict[str, list[Scene]], longer: int) -> dict[str, dict[str, list[int]]]:
    """What the exported net finds in the scenes that were never trained on."""
    net = read_net(model)
    return {
        name: curve([detect(net, scene.pixels, longer) for scene in scenes], scenes, 20)
        for name, scenes in unseen.items()
    }


def train(arguments: argparse.Namespace) -> None:
    """Train the detector, and tell after some rounds what it finds."""
    torch.manual_seed(SEED)
    scenes, unseen = split(read_scenes(arguments.scenes))
    composer = Composer(scenes, read_faces(arguments.faces, "train", arguments.cache).chips, SIDE)
    checkpoint = arguments.out / "detector.pt"
    anchors = priors(SIDE, SIDE)
    net = models.FaceNet()
    if arguments.start:
        rng = np.random.default_rng(SEED)
        start(net, arguments.start, to_tensor(np.stack([composer.compose(rng).pixels for _ in range(2 * BATCH)])))
    run = Run({"face": net}, checkpoint, arguments.rounds * ROUND, PEAK_RATE)
    batches = stream(composer, anchors, run.steps, arguments.workers)
    for number in range(run.steps // ROUND, arguments.rounds):
        began = time.monotonic()
        run.train()
        losses = [run.step(batch_loss(run.nets["face"], *next(batches))) for _ in range(ROUND)]
        run.save()
        found = report(run.means["face"], unseen, TESTED_AT) if (number + 1) % ROUNDS_A_REPORT == 0 else {}
        seconds, loss = round(time.monotonic() - began), round(float(np.mean(losses)), 3)
        print(json.dumps({"round": number + 1, "seconds": seconds, "loss": loss, **found}), flush=True)


def start(net: models.FaceNet, pack: Path, pictures: Tensor) -> None:
    """Give `net` the weights of the face net of `pack`, with the confidences that it had in training."""
    tracing.unfold(net, caffe.read(pack, "face"), pictures)
    for classes in net.classes:
        classes.bias.data[1::2] += RAW_LOGIT


def batch_loss(net: torch.nn.Module, pictures: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = net(pictures)
    return loss_of(outputs, labels, offsets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="pack whose face net a fresh run begins with")
    parser.add_argument("--rounds", type=int, default=90)
    arguments = read_arguments(parser)
    train(arguments)


if __name__ == "__main__":
    main()
