"""Extract the features of faceres_deep.onnx from chips and from mirrored chips, once.

    python -m training.distillation.features --data FairFace --faceres faceres_deep.onnx --source train

The sources are FairFace's `train` and `val` and the faces of `photos` (`training.distillation.photos`). Each thousand
of chips becomes one file. A file of the same chips is left as it is, so a run that was interrupted continues.
"""

import argparse
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.distillation import mobilenet, photos
from training.faces import read_faces
from training.run import read_arguments

SOURCES = ("train", "val", "photos")

# Chips in a file, and chips that the net gets at once.
PART, BATCH = 1000, 25


@dataclass(frozen=True)
class Features:
    """`plain` and `mirrored` (n, 1024) float16: the features of chips as they are, and mirrored."""

    plain: NDArray[np.float16]
    mirrored: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.plain)


def extract(net: mobilenet.MobileNet, chips: NDArray[np.uint8], folder: Path, side: int = mobilenet.SIDE) -> None:
    """Write the features of (n, 112, 112, 3) uint8 BGR `chips`, seen at `side` pixels, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(chips), PART):
        path = folder / f"{start:06d}.npz"
        part = np.array(chips[start : start + PART])
        checksum = zlib.crc32(part.tobytes())
        if path.exists() and int(np.load(path)["checksum"]) == checksum:
            continue
        began = time.monotonic()
        both = [_features(net, images, side) for images in (part, np.ascontiguousarray(part[:, :, ::-1]))]
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, plain=both[0], mirrored=both[1], checksum=checksum)
        partial.replace(path)
        milliseconds = (time.monotonic() - began) * 1000 / len(part)
        print(f"{path}: {len(part)} chips, {milliseconds:.1f} ms each", flush=True)


def _features(net: mobilenet.MobileNet, chips: NDArray[np.uint8], side: int) -> NDArray[np.float16]:
    found = []
    for start in range(0, len(chips), BATCH):
        images = np.stack([cv2.resize(chip, (side, side)) for chip in chips[start : start + BATCH]])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            found.append(net(mobilenet.to_input(images.astype(np.uint8, copy=False))).half().numpy())
    return np.concatenate(found)


def read(folder: Path, count: int) -> Features:
    """The features of the first `count` chips in `folder`.

    Raises:
        ValueError: there are fewer.
    """
    parts = sorted(path for path in folder.glob("*.npz") if ".partial" not in path.name)
    loaded = [np.load(path) for path in parts]
    found = sum(len(each["plain"]) for each in loaded)
    if found < count:
        raise ValueError(f"{folder} has the features of {found} chips, not of {count}: extract the rest first.")
    plain, mirrored = (np.concatenate([each[name] for each in loaded])[:count] for name in ("plain", "mirrored"))
    return Features(plain, mirrored)


def read_chips(source: str, data: Path, cache: Path) -> NDArray[np.uint8]:
    """The chips (n, 112, 112, 3) uint8 BGR of one of `SOURCES`."""
    return photos.read(cache / "photos") if source == "photos" else read_faces(data, source, cache).chips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faceres", type=Path, required=True)
    parser.add_argument("--source", choices=SOURCES, required=True)
    parser.add_argument("--limit", type=int, help="the number of chips; by default all")
    parser.add_argument("--side", type=int, default=mobilenet.SIDE, help="the side at which the net sees a chip")
    arguments = read_arguments(parser)
    chips = read_chips(arguments.source, arguments.data, arguments.cache)[: arguments.limit]
    folder = arguments.out / f"features_{arguments.source}"
    extract(mobilenet.load(arguments.faceres), chips, folder, arguments.side)


if __name__ == "__main__":
    main()
