"""The trunk of faceres_deep.onnx as a torch module: MobileNet (Howard et al., 2017), trained on VGGFace2.

The file is MIT (HSE attribute net). Its batch norms are folded, or are a factor and a summand for each channel. The
weights are taken from the nodes of the graph in their order, so the features equal those of the file.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

# Outputs and stride of each pair of a depthwise and a pointwise convolution.
BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
STEM = 32
FEATURES = BLOCKS[-1][0]

# Side of the input, and what is subtracted from its blue, green and red. docs/decisions.md compares the alternatives.
SIDE = 224
MEANS = (103.939, 116.779, 123.68)


class _Convolution(nn.Module):
    """A convolution with TensorFlow's padding (`SAME`), which is one-sided at stride 2 and an even side, and ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, 0, groups=groups)
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: Tensor) -> Tensor:
        if self.kernel > 1:
            pads: list[int] = []
            for side in (maps.shape[3], maps.shape[2]):
                total = max((-(-side // self.stride) - 1) * self.stride + self.kernel - side, 0)
                pads += [total // 2, total - total // 2]
            maps = functional.pad(maps, pads)
        return functional.relu6(self.convolution(maps))


class MobileNet(nn.Module):
    """Takes (n, 3, side, side) float32 BGR minus `MEANS`, of any side; returns (n, 1024) features."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Convolution(3, STEM, 3, 2)]
        inputs = STEM
        for outputs, stride in BLOCKS:
            layers += [_Convolution(inputs, inputs, 3, stride, inputs), _Convolution(inputs, outputs, 1, 1)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images).mean((2, 3))
        return features


def load(path: Path) -> MobileNet:
    """The trunk of the file `path`, in evaluation mode.

    Raises:
        ValueError: the graph is not that of faceres_deep.onnx.
    """
    graph = onnx.load(path).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    users = {name: node for node in graph.node for name in node.input}
    net = MobileNet()
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    if len(convolutions) != len(net.layers):
        raise ValueError(f"{path} has {len(convolutions)} convolutions in place of {len(net.layers)}.")
    for node, layer in zip(convolutions, net.layers, strict=True):
        weight = values[node.input[1]]
        bias = np.zeros(len(weight), np.float32)
        following = users[node.output[0]]
        while following.op_type in ("Transpose", "Mul", "Add"):
            known = next((values[name] for name in following.input if name in values), None)
            if following.op_type == "Mul" and known is not None:
                weight = weight * known.reshape(-1, 1, 1, 1)
            elif following.op_type == "Add" and known is not None:
                bias = bias + known.reshape(-1)
            following = users[following.output[0]]
        convolution = layer.convolution
        if convolution.weight.shape != weight.shape:
            raise ValueError(f"{path}: {node.output[0]} has weights of another shape.")
        convolution.weight.data, convolution.bias.data = torch.tensor(weight), torch.tensor(bias)
    return net.eval()


def to_input(crops: NDArray[np.uint8]) -> Tensor:
    """Convert (n, side, side, 3) uint8 BGR crops to the input of the net, (n, 3, side, side) float32."""
    blob = torch.from_numpy(crops).permute(0, 3, 1, 2).float() - torch.tensor(MEANS).view(1, 3, 1, 1)
    return blob.contiguous(memory_format=torch.channels_last)
