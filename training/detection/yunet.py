"""Where training starts: the weights of YuNet (Wu et al., 2023; MIT licence), converted.

The file is `face_detection_yunet_2023mar.onnx` of https://github.com/opencv/opencv_zoo, folder
models/face_detection_yunet. YuNet subtracts nothing from the pixels and has them in 0..255; our nets get them in -1..1.
It has no nonlinearity between the 1 x 1 and the 3 x 3 convolution of a unit, so both together are one plain convolution
of 3 x 3. It has two scores a cell, for class and objectness, and multiplies them; the net has one logit, their mean,
which orders boxes alike where both agree.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.attributes import MEAN
from training.detection.net import STRIDES, FaceNet, Plain, fuse

SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"

# YuNet's boxes and landmarks are relative to the corner of a cell, those of our nets to its centre.
_CENTRE = 0.5


@dataclass(frozen=True)
class _Kernel:
    weight: Tensor
    bias: Tensor


def start_from_yunet(net: FaceNet, path: Path) -> None:
    """Give `net`, a large one, the weights of YuNet in the ONNX file `path`.

    Raises:
        ValueError: the file is another one.
    """
    kernels = _read_kernels(path)
    first = next(kernels)
    # A pixel is MEAN * (1 + ours). Beyond the border YuNet sees black, our net sees the mean.
    net.stem[0].weight.data = first.weight * MEAN
    net.stem[0].bias.data = first.bias + MEAN * first.weight.sum((1, 2, 3))
    for unit in net.units():
        point, depth = next(kernels), next(kernels)
        if isinstance(unit, Plain):
            _load(unit.conv, _plain(point, depth))
        else:
            _load(unit.point, point)
            _load(unit.depth, depth)
    classes, boxes, objectness, landmarks = ([_plain(next(kernels), next(kernels)) for _ in STRIDES] for _ in range(4))
    for index in range(len(STRIDES)):
        each = classes[index], objectness[index]
        mean = _Kernel(sum(one.weight for one in each) / 2, sum(one.bias for one in each) / 2)
        _load(net.scores[index], mean)
        _load(net.boxes[index], _moved(boxes[index], values=2))
        _load(net.landmarks[index], _moved(landmarks[index], values=10))


def _read_kernels(path: Path) -> Iterator[_Kernel]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{path} is not face_detection_yunet_2023mar.onnx of opencv_zoo: its SHA-256 differs.")
    graph = onnx.load_from_string(content).graph
    values = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in graph.initializer}
    return iter([_Kernel(*(values[name] for name in node.input[1:])) for node in graph.node if node.op_type == "Conv"])


def _plain(point: _Kernel, depth: _Kernel) -> _Kernel:
    return _Kernel(*fuse(point.weight, point.bias, depth.weight, depth.bias))


def _moved(kernel: _Kernel, values: int) -> _Kernel:
    """The first `values` of the output relative to the centre of the cell."""
    bias = kernel.bias.clone()
    bias[:values] -= _CENTRE
    return _Kernel(kernel.weight, bias)


def _load(layer: nn.Conv2d, kernel: _Kernel) -> None:
    layer.weight.data = kernel.weight.contiguous()
    layer.bias = nn.Parameter(kernel.bias)
