"""Compare super-resolution by bicubic upscaling, a published net and our net, as a Markdown table.

    python -m training.enhance_scores --faces FairFace --scenes SCENES --against FSRCNN_x3.pb

The images are FairFace's validation chips and the last hundred `photo` scenes; no net of ours was trained on them. Our
net is the one of `--pack`, run by cv2.dnn.
"""

import argparse
from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.nn import functional

from training import caffe
from training.enhance import compress, luma, scene_planes
from training.faces import read_faces
from training.resampling import SCALE, Downscaler, Upscaler, downscale, psnr, upscale_bicubic
from training.run import read_arguments
from visage.enhance.net import read_tensorflow

QUALITY = 75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--pack", type=Path, default=Path("models/compact"))
    parser.add_argument("--against", type=Path, help="a TensorFlow graph that upscales luma by three")
    arguments = read_arguments(parser)
    chips = [luma(chip) for chip in read_faces(arguments.faces, "val", arguments.cache).chips]
    _, photos = scene_planes(arguments.scenes)
    nets = {}
    if arguments.against:
        nets[arguments.against.stem] = opencv_upscaler(read_tensorflow(arguments.against.read_bytes()))
    nets["ours"] = opencv_upscaler(caffe.read(arguments.pack, "superres"))
    reductions: dict[str, tuple[Downscaler, Upscaler]] = {
        "bicubic, antialiased": (downscale, upscale_bicubic),
        f"the same and JPEG of quality {QUALITY}": (_downscale_to_jpeg, upscale_bicubic),
        "cv2.INTER_CUBIC, aliased": (partial(downscale, antialias=False), partial(upscale_bicubic, antialias=False)),
    }
    print("| downscaled by | upscaled by | faces, dB | photos, dB |\n|---|---|--:|--:|")
    for reduction, (downscaler, bicubic) in reductions.items():
        for name, upscaler in {"bicubic": bicubic, **nets}.items():
            faces_score, photos_score = (psnr(upscaler, planes, downscaler) for planes in (chips, photos))
            print(f"| {reduction} | {name} | {faces_score:.2f} | {photos_score:.2f} |")


def opencv_upscaler(net: cv2.dnn.Net) -> Upscaler:
    """Wrap a net of cv2.dnn that returns nine maps, or one image of three times the size."""

    def run(small: Tensor) -> Tensor:
        net.setInput(small.numpy())
        output = torch.from_numpy(net.forward())
        return output if output.shape[1] == SCALE**2 else functional.pixel_unshuffle(output, SCALE)

    return run


def _downscale_to_jpeg(large: Tensor) -> Tensor:
    return compress(downscale(large)[0, 0], QUALITY)[None, None]


if __name__ == "__main__":
    main()
