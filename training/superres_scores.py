"""How well pictures are enlarged: bicubically, by a published net and by ours, as a Markdown table.

    python -m training.superres_scores --faces FairFace --scenes SCENES --against FSRCNN_x3.pb

What is enlarged is FairFace's validation chips and the last hundred `photo` scenes, none of which was trained on. Ours
is the net of `--pack` as cv2.dnn runs it.
"""

import argparse
from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn import functional

from training import caffe
from training.enlargement import SCALE, Enlarger, Shrinker, bicubic, psnr, shrink
from training.faces import read_faces
from training.run import read_arguments
from training.superres import compressed, luma, scene_planes
from visage.enhance.net import read_tensorflow

QUALITY = 75


def run_by_cv2(net: cv2.dnn.Net) -> Enlarger:
    """An enlarger of a net that gives nine maps, or one picture of three times the size."""

    def enlarge(small: Tensor) -> Tensor:
        net.setInput(small.numpy())
        found = torch.from_numpy(net.forward())
        return found if found.shape[1] == SCALE**2 else functional.pixel_unshuffle(found, SCALE)

    return enlarge


def through_jpeg(large: Tensor) -> Tensor:
    """Shrunk, and a JPEG of middling quality from then on."""
    return compressed(shrink(large)[0, 0], QUALITY)[None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--pack", type=Path, default=Path("models/compact"))
    parser.add_argument("--against", type=Path, help="a TensorFlow graph that enlarges luma three times")
    arguments = read_arguments(parser)
    chips = [luma(chip) for chip in read_faces(arguments.faces, "val", arguments.cache).chips]
    _, photos = scene_planes(arguments.scenes)
    nets = {}
    if arguments.against:
        nets[arguments.against.stem] = run_by_cv2(read_tensorflow(arguments.against.read_bytes()))
    nets["ours"] = run_by_cv2(caffe.read(arguments.pack, "superres"))
    ways: dict[str, tuple[Shrinker, Enlarger]] = {
        "bicubic, antialiased": (shrink, bicubic),
        f"the same and JPEG of quality {QUALITY}": (through_jpeg, bicubic),
        "cv2.INTER_CUBIC, aliased": (partial(shrink, antialias=False), partial(bicubic, antialias=False)),
    }
    print("| shrunk by | enlarged by | faces, dB | photos, dB |\n|---|---|--:|--:|")
    for way, (shrinker, plain) in ways.items():
        for name, enlarger in {"bicubic": plain, **nets}.items():
            print(
                f"| {way} | {name} | {psnr(enlarger, chips, shrinker):.2f} | {psnr(enlarger, photos, shrinker):.2f} |"
            )


if __name__ == "__main__":
    main()
