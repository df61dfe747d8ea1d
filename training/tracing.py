"""Convert torch nets to `CaffeNet`.

The exporter supports the layers of the nets in this package: convolutions (with batch norms folded), ReLU, pooling,
sums, upsampling and linear layers. Any other layer is an error.
"""

import copy
import operator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.caffe import CaffeNet
from training.models import UpsampleLike


def trace(model: nn.Module, name: str, size: tuple[int, int], input_channels: int = 3) -> tuple[CaffeNet, list[str]]:
    """Return the layers of `model` and the names of its outputs.

    `size` is the (width, height) of the input (n, input_channels, height, width).

    Raises:
        TypeError: the model has an operation that this exporter does not support.
    """
    folded = fold(model)
    graph = _Tracer().trace(folded)
    modules = dict(folded.named_modules())
    net = CaffeNet(name, size, input_channels)
    tops: dict[fx.Node, str] = {}
    outputs: list[str] = []
    for node in graph.nodes:
        bottoms = [tops[argument] for argument in node.all_input_nodes if argument in tops]
        if node.op == "placeholder":
            tops[node] = "data"
        elif node.op == "output":
            outputs = bottoms
        elif node.op == "call_module":
            tops[node] = _layer(net, modules[node.target], node.name, bottoms)
        elif node.op == "call_function" and node.target is operator.add and len(bottoms) == 2:
            tops[node] = net.add("Eltwise", node.name, bottoms)
        else:
            raise TypeError(f"{node.format_node()} is not supported by this exporter")
    return net, outputs


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, UpsampleLike) or super().is_leaf_module(module, name)


def fold(model: nn.Module) -> nn.Module:
    """Return a copy of `model` for inference, with each batch norm folded into the convolution before it."""
    folded = copy.deepcopy(model).eval().cpu().float()
    for block in folded.modules():
        if isinstance(block, nn.Sequential) and len(block) > 1 and isinstance(block[1], nn.BatchNorm2d):
            block[0], block[1] = fuse_conv_bn_eval(block[0], block[1]), nn.Identity()
    return folded


def rounded(model: nn.Module) -> nn.Module:
    """Return a copy of `model` with its weights rounded to float16."""
    copied = copy.deepcopy(model)
    for tensor in copied.parameters():
        tensor.data = tensor.data.half().float()
    return copied


def _layer(net: CaffeNet, module: nn.Module, name: str, bottoms: list[str]) -> str:
    match module:
        case nn.Conv2d():
            return net.add("Convolution", name, bottoms, _convolution(module), _weights(module))
        case nn.Linear():
            parameters = f"inner_product_param {{ num_output: {module.out_features} }}"
            return net.add("InnerProduct", name, bottoms, parameters, _weights(module))
        case nn.ReLU():
            return net.add("ReLU", name, bottoms)
        case nn.AdaptiveAvgPool2d(output_size=1) | nn.MaxPool2d(kernel_size=2, stride=2, padding=0, ceil_mode=True):
            return net.add("Pooling", name, bottoms, _pooling(module))
        case UpsampleLike():
            # Resize is not a layer of Caffe, but OpenCV's importer supports it. A Deconvolution by ones has the same
            # result and takes 0.5 of the face net's 9 ms. It resizes to the size of its second input, which the nearest
            # value fits as doubling and cropping do: floor(i h / (2 h - 1)) is floor(i / 2) for all i below 2 h - 1.
            return net.add("Resize", name, bottoms, "resize_param { interpolation: nearest }")
        case nn.Flatten(start_dim=1, end_dim=-1) | nn.Dropout() | nn.Identity():
            return bottoms[0]
    raise TypeError(f"{type(module).__name__} is not supported by this exporter")


def _pooling(module: nn.AdaptiveAvgPool2d | nn.MaxPool2d) -> str:
    # Caffe rounds sizes up.
    kind = "MAX kernel_size: 2 stride: 2" if isinstance(module, nn.MaxPool2d) else "AVE global_pooling: true"
    return f"pooling_param {{ pool: {kind} }}"


def _convolution(module: nn.Conv2d) -> str:
    kernel, stride, pad = module.kernel_size[0], module.stride[0], module.padding[0]
    square = (module.kernel_size, module.stride, module.padding) == ((kernel,) * 2, (stride,) * 2, (pad,) * 2)
    if not square or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise TypeError(f"{module} is not supported by this exporter")
    groups = f" group: {module.groups}" if module.groups > 1 else ""
    return (
        f"convolution_param {{ num_output: {module.out_channels} kernel_size: {kernel} "
        f"stride: {stride} pad: {pad}{groups} }}"
    )


def _weights(module: nn.Conv2d | nn.Linear) -> list[NDArray[np.float32]]:
    tensors = [module.weight, module.bias if module.bias is not None else torch.zeros(module.weight.shape[0])]
    return [tensor.detach().numpy().astype(np.float32) for tensor in tensors]
