"""Train the large face net from YuNet's weights.

    python -m training.detection.train --photos DIR --yunet FILE

A run saves itself after every round into `--out` and goes on from there. Pictures of several sizes alternate: many
small ones, and fewer ones as large as what the service shows to the net.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.attributes import to_tensor
from training.detection import net as face_net
from training.detection.labels import LabelledPhoto, read_photos
from training.detection.loss import losses
from training.detection.pictures import Composer, Picture
from training.detection.yunet import start_from_yunet
from training.run import Run, load_means, read_arguments

# The side and number of pictures in the batches, in turns: each batch costs about the same.
BATCHES = ((320, 24), (640, 6), (448, 12))

PEAK_RATE = 1e-3
SEED = 20261128

# The parts of the net that may be frozen, from the picture on.
STAGES = ("stem", "quarter", "eighth", "sixteenth", "last")

# Steps between two checkpoints.
ROUND = 50

Batch = tuple[Tensor, list[Picture]]
ReadPhotos = Callable[[], list[LabelledPhoto]]


def compose(
    read: ReadPhotos, seed: int, first: int, step: int, batches: "multiprocessing.Queue[list[Picture]]"
) -> None:
    """Put the pictures of batch `first`, `first + step`, ... into `batches`: what a process does."""
    cv2.setNumThreads(1)
    composer = Composer(read())
    number = first
    while True:
        side, count = BATCHES[number % len(BATCHES)]
        batches.put(composer.pictures(count, side, np.random.default_rng((seed, number))))
        number += step


def stream(read: ReadPhotos, seed: int, first: int, workers: int) -> Iterator[Batch]:
    """Batches without end, from number `first` on; the same ones for the same `seed` and photos."""
    context = multiprocessing.get_context("spawn")
    queues: list[multiprocessing.Queue[list[Picture]]] = [context.Queue(4) for _ in range(workers)]
    for worker, queue in enumerate(queues):
        arguments = (read, seed, first + worker, workers, queue)
        context.Process(target=compose, args=arguments, daemon=True).start()
    number = first
    while True:
        pictures = queues[(number - first) % workers].get()
        yield to_tensor(np.stack([picture.pixels for picture in pictures])), pictures
        number += 1


def count_steps(samples: int) -> int:
    """The number of batches that have about so many pictures."""
    return samples * len(BATCHES) // sum(count for _, count in BATCHES)


def train_in_rounds(
    run: Run, batches: Iterator[Batch], parts_of_loss: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
) -> None:
    """Train to the last step of `run`; save it and print the mean parts of the loss after each round.

    `parts_of_loss` returns the loss of a batch, and the parts to print.
    """
    while run.steps < run.total_steps:
        began = time.monotonic()
        run.train()
        printed: dict[str, list[float]] = {}
        for _ in range(ROUND):
            loss, parts = parts_of_loss(next(batches))
            run.step(loss)
            for name, value in parts.items():
                printed.setdefault(name, []).append(value.item())
        run.save()
        means = {name: round(float(np.mean(values)), 4) for name, values in printed.items()}
        print(json.dumps({"step": run.steps, "seconds": round(time.monotonic() - began), **means}), flush=True)


def train(arguments: argparse.Namespace) -> None:
    """Train until `--samples` pictures were seen."""
    torch.manual_seed(SEED)
    net = face_net.FaceNet(face_net.LARGE)
    if arguments.yunet:
        start_from_yunet(net, arguments.yunet)
    else:
        net.load_state_dict(load_means(arguments.start, "face"))
    for name in arguments.freeze:
        getattr(net, name).requires_grad_(requires_grad=False)
    run = Run({"face": net}, arguments.out / "face.pt", count_steps(arguments.samples), PEAK_RATE, adaptive=True)
    read = partial(read_photos, arguments.photos, arguments.labels)

    def parts_of_loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        blob, pictures = batch
        each = losses(run.nets["face"](blob), pictures, *face_net.cells(*blob.shape[2:]))
        return each.total, {"scores": each.scores, "boxes": each.boxes, "landmarks": each.landmarks}

    train_in_rounds(run, stream(read, SEED, run.steps, arguments.workers), parts_of_loss)


def parser_with_photos(description: str | None, samples: int) -> argparse.ArgumentParser:
    """The options of a run on photos: where they and their labels are, and how many pictures it sees."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    parser.add_argument("--samples", type=int, default=samples)
    return parser


def main() -> None:
    parser = parser_with_photos(__doc__, samples=400_000)
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--yunet", type=Path, help="ONNX file of YuNet whose weights a new run starts from")
    start.add_argument("--start", type=Path, help="checkpoint whose averaged weights a new run starts from")
    parser.add_argument(
        "--freeze", nargs="*", choices=STAGES, default=("stem", "quarter"), help="stages that keep their weights"
    )
    train(read_arguments(parser))


if __name__ == "__main__":
    main()
