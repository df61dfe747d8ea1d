"""The face net as Caffe files, once cv2.dnn was seen to answer as torch does.

    python -m training.detection.export --checkpoint runs/face.pt --out runs/pack

The three heads of a stride become one convolution, because that is faster: the layer `stride_8` has the score, the box
and the landmarks of each cell of the stride 8. `visage.nets.anchor_free` turns them into faces, and `[face] strides` in
the manifest of the pack names the strides.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import caffe, tracing
from training.attributes import to_tensor
from training.detection.net import STRIDES, FaceNet
from training.run import load_means
from visage.nets.anchor_free import layer_names

# The most by which cv2.dnn's outputs may differ from torch's.
TOLERANCE = 2e-4


class _OneHeadAStride(nn.Module):
    """`net` with the three heads of each stride in one, its scores shifted by `-logit_shift`."""

    def __init__(self, net: FaceNet, logit_shift: float) -> None:
        super().__init__()
        self.face: Any = tracing.fold(net)
        heads = zip(self.face.scores, self.face.boxes, self.face.landmarks, strict=True)
        # The layers get the names of these modules: stride_8, stride_16, stride_32.
        self.stride = nn.ModuleDict(
            {str(stride): _join(each, logit_shift) for stride, each in zip(STRIDES, heads, strict=True)}
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [head(maps) for head, maps in zip(self.stride.values(), self.face.levels(pictures), strict=True)]


def _join(heads: tuple[nn.Conv2d, ...], logit_shift: float) -> nn.Conv2d:
    """One convolution with the channels of all `heads`; the first channel is the score."""
    first = heads[0]
    joined = nn.Conv2d(
        first.in_channels, sum(head.out_channels for head in heads), first.kernel_size, padding=first.padding
    )
    joined.weight.data = torch.cat([head.weight.data for head in heads])
    joined.bias.data = torch.cat([head.bias.data for head in heads if head.bias is not None])
    joined.bias.data[0] -= logit_shift
    return joined


def trace(net: FaceNet, logit_shift: float = 0.0) -> caffe.CaffeNet:
    """The layers of `net`, its scores shifted by `-logit_shift`."""
    traced, outputs = tracing.trace(_OneHeadAStride(net, logit_shift), "visage_face", (320, 320))
    if outputs != layer_names(STRIDES):
        raise ValueError(f"the output layers are called {outputs}, which the service does not know")
    return traced


def difference(net: FaceNet, folder: Path, pictures: NDArray[np.uint8]) -> float:
    """The most by which the maps of the files in `folder` differ from those of torch, for (n, height, width, 3) uint8
    BGR `pictures` and a `logit_shift` of 0.
    """
    folded, reader, worst = tracing.rounded(tracing.fold(net)), caffe.read(folder, "face"), 0.0
    for picture in pictures:
        blob = to_tensor(picture[None]).contiguous()
        with torch.no_grad():
            maps = folded(blob)
        reader.setInput(blob.numpy())
        for index, found in enumerate(reader.forward(layer_names(STRIDES))):
            expected = torch.cat(maps[3 * index : 3 * index + 3], 1).numpy()
            worst = max(worst, float(np.abs(expected - found).max()))
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
