"""The face net as Caffe files, once cv2.dnn was seen to answer as torch does.

    python -m training.detection.export --checkpoint runs/face.pt --out runs/pack

A cell is a prior in the terms of an SSD: `min_size` is the stride, and variances of 1 make `DetectionOutput` decode a
box as `decode_boxes` does. A score becomes two classes, background at a constant 0. The landmarks are one more layer,
`landmarks`, with ten values a prior.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training import caffe, tracing
from training.attributes import to_tensor
from training.detection.net import STRIDES, FaceNet, flatten
from training.run import load_means

# The most by which cv2.dnn's outputs may differ from torch's.
TOLERANCE = 2e-4

# Faces that one pass may return, and boxes that NMS chooses them from.
KEPT, CANDIDATES = 750, 2000

LANDMARKS = "landmarks"


def trace(net: FaceNet, logit_shift: float = 0.0) -> caffe.CaffeNet:
    """The layers of `net`, its scores shifted by `-logit_shift`."""
    two_classes = tracing.fold(net)
    two_classes.scores = nn.ModuleList(_two_classes(score, logit_shift) for score in two_classes.scores)
    traced, outputs = tracing.trace(two_classes, "visage_face", (320, 320))
    levels, flat = [], []
    for stride, classes, boxes, landmarks in zip(STRIDES, outputs[::3], outputs[1::3], outputs[2::3], strict=True):
        levels.append(caffe.Level(f"priors_{stride}", classes, boxes, f"min_size: {stride}", stride))
        order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
        last = traced.add("Permute", f"{landmarks}_last", [landmarks], order)
        flat.append(traced.add("Flatten", f"{landmarks}_flat", [last], "flatten_param { axis: 1 }"))
    traced.add("Concat", LANDMARKS, flat, "concat_param { axis: 1 }")
    caffe.add_detection(traced, levels, KEPT, CANDIDATES, variances=(1, 1, 1, 1))
    return traced


def _two_classes(score: nn.Conv2d, logit_shift: float) -> nn.Conv2d:
    both = nn.Conv2d(score.in_channels, 2, score.kernel_size, padding=score.padding)
    both.weight.data = torch.cat([torch.zeros_like(score.weight), score.weight])
    both.bias.data = torch.cat([torch.zeros_like(score.bias), score.bias - logit_shift])
    return both


def difference(net: FaceNet, folder: Path, pictures: NDArray[np.uint8]) -> float:
    """The most by which scores, boxes and landmarks of the files in `folder` differ from those of torch, for
    (n, side, side, 3) uint8 BGR `pictures` and a `logit_shift` of 0.
    """
    folded, reader, worst = tracing.rounded(tracing.fold(net)), caffe.read(folder, "face"), 0.0
    for picture in pictures:
        blob = to_tensor(picture[None]).contiguous()
        with torch.no_grad():
            logits, boxes, landmarks = flatten(folded(blob))
        reader.setInput(blob.numpy())
        found = reader.forward(["confidences", "offsets", LANDMARKS])
        expected = (torch.stack([-logits, logits], -1).div(2).softmax(-1), boxes, landmarks)
        for mine, its in zip(expected, found, strict=True):
            worst = max(worst, float(np.abs(mine.numpy().ravel() - its.ravel()).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/face.pt"))
    parser.add_argument("--out", type=Path, default=Path("runs/pack"))
    parser.add_argument("--logit-shift", type=float, default=0.0, help="the logit that the pack calls 0.5")
    arguments = parser.parse_args()
    net = FaceNet()
    net.load_state_dict(load_means(arguments.checkpoint, "face"))
    net.eval()
    pictures = np.random.default_rng(1).integers(0, 256, (4, 160, 224, 3), np.uint8)
    caffe.write(arguments.out, "face", trace(net))
    found = difference(net, arguments.out, pictures)
    print(f"cv2.dnn differs from torch by at most {found:.1e}")
    if not found <= TOLERANCE:
        raise SystemExit(f"the net was exported wrongly: more than {TOLERANCE} is not rounding.")
    caffe.write(arguments.out, "face", trace(net, arguments.logit_shift))


if __name__ == "__main__":
    main()
