"""Runs a frozen TensorFlow graph with torch, node by node, as a reference for OpenCV's importer.

It supports only the operations of FSRCNN and EDSR. Tensors are (n, h, w, c), as in TensorFlow.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Field numbers of graph.proto, node_def.proto, attr_value.proto and tensor.proto.
_NODE, _NAME, _OP, _INPUT, _ATTRIBUTE = 1, 1, 2, 3, 5
_INTEGER, _TENSOR = 3, 8
_KIND, _SHAPE, _CONTENT, _FLOATS = 1, 2, 4, 5
_KINDS = {1: np.float32, 3: np.int32}


def run(graph: bytes, maps: Tensor) -> Tensor:
    """The output of the graph's last node for the input `maps`, (n, h, w, c)."""
    values: dict[str, Tensor] = {}
    name = ""
    for number, node in _fields(graph):
        if number == _NODE:
            name, op, inputs, attributes = _parsed(node)
            values[name] = maps if op == "Placeholder" else _evaluate(op, [values[each] for each in inputs], attributes)
    return values[name]


def _evaluate(op: str, inputs: list[Tensor], attributes: dict[str, bytes]) -> Tensor:
    match op:
        case "Const":
            return _constant(dict(_fields(attributes["value"]))[_TENSOR])
        case "Conv2D":
            maps, kernel = inputs[0].permute(0, 3, 1, 2), inputs[1].permute(3, 2, 0, 1)
            return functional.conv2d(maps, kernel, padding="same").permute(0, 2, 3, 1)
        case "Add" | "BiasAdd":
            return inputs[0] + inputs[1]
        case "Sub":
            return inputs[0] - inputs[1]
        case "Mul":
            return inputs[0] * inputs[1]
        case "Abs":
            return inputs[0].abs()
        case "Relu":
            return inputs[0].relu()
        case "DepthToSpace":
            block = dict(_fields(attributes["block_size"]))[_INTEGER]
            count, height, width, depth = inputs[0].shape
            parts = inputs[0].reshape(count, height, width, block, block, depth // block**2)
            return parts.permute(0, 1, 3, 2, 4, 5).reshape(count, height * block, width * block, depth // block**2)
        case "Transpose":
            return inputs[0].permute(*inputs[1].tolist())
    raise NotImplementedError(op)


def _constant(tensor: bytes) -> Tensor:
    fields = dict(_fields(tensor))
    shape = [size for number, dimension in _fields(fields[_SHAPE]) if number == 2 for _, size in _fields(dimension)]
    content = fields.get(_CONTENT) or fields[_FLOATS]
    return torch.from_numpy(np.frombuffer(content, _KINDS[fields[_KIND]]).copy()).reshape(shape)


def _parsed(node: bytes) -> tuple[str, str, list[str], dict[str, bytes]]:
    fields = list(_fields(node))
    texts = {number: value.decode() for number, value in fields if number in {_NAME, _OP}}
    inputs = [value.decode() for number, value in fields if number == _INPUT]
    entries = [dict(_fields(value)) for number, value in fields if number == _ATTRIBUTE]
    return texts[_NAME], texts[_OP], inputs, {entry[1].decode(): entry[2] for entry in entries}


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message as (number, value). Varints are integers, all others bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        length, at = _varint(message, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
