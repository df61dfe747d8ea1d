"""The face net as Caffe layers. `training.export` writes them, once cv2.dnn was seen to answer as torch does.

The three heads of a stride become one convolution, because that is faster: the layer `stride_8` has the score, the box
and the landmarks of each cell of the stride 8. `visage.nets.anchor_free` turns them into faces, and `[face] strides` in
the manifest of the pack names the strides.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import caffe, tracing
from training.attributes import to_tensor
from training.detection.net import STRIDES, FaceNet
from visage.nets.anchor_free import layer_names


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


def difference(net: FaceNet, folder: Path, pictures: Sequence[NDArray[np.uint8]], logit_shift: float = 0.0) -> float:
    """The most by which the maps of the files in `folder` differ from those of torch, for (height, width, 3) uint8 BGR
    `pictures`.
    """
    expected_net, reader, worst = tracing.rounded(_OneHeadAStride(net, logit_shift)), caffe.read(folder, "face"), 0.0
    for picture in pictures:
        blob = to_tensor(picture[None]).contiguous()
        with torch.no_grad():
            maps = expected_net(blob)
        reader.setInput(blob.numpy())
        for expected, found in zip(maps, reader.forward(layer_names(STRIDES)), strict=True):
            worst = max(worst, float(np.abs(expected.numpy() - found).max()))
    return worst
