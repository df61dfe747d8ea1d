"""Layers of old Caffe nets that cv2.dnn runs slowly, done with numpy: the same answers in a fraction of the time.

`cv2.dnn` raises every value of an LRN layer to its power one by one, and normalises every pixel of a Normalize layer by
itself. In the nets of Levi and Hassner (2015) LRN was 8.7 of 23 ms, in res10 Normalize 3.7 of 26 ms; as written here
0.4 and 0.3 (benchmarks/README.md).
"""

import re
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]

# What a layer has to say for itself to be replaced, and nothing beside it, so that OpenCV and we mean the same by it.
# Layers that ask for another kind, or do not say what they mean where the two have other defaults, stay with OpenCV.
_LRN = re.compile(
    rb"lrn_param\s*\{(?=[^}]*\balpha:)(?:\s*(?:local_size:\s*\d*[13579]|(?:alpha|beta):\s*[0-9.e-]+)\b)+\s*\}"
)
_NORMALIZE = re.compile(rb"\bacross_spatial:\s*(?:false|0)\b")
_REPLACED = ((b"LRN", b"VisageLRN", _LRN), (b"Normalize", b"VisageNormalize", _NORMALIZE))


def use_fast_layers(prototxt: bytes) -> bytes:
    """`prototxt` with the layers of this module in place of OpenCV's, where they do the same.

    All layers of a kind or none: which of them a text belongs to is not looked at.
    """
    for kind, ours, known in _REPLACED:
        layers = re.compile(rb'(\btype:\s*")' + kind + rb'"')
        if len(layers.findall(prototxt)) == len(known.findall(prototxt)):
            prototxt = layers.sub(rb"\1" + ours + rb'"', prototxt)
    return prototxt


class LocalResponseNorm:
    """Each value over a power of what its neighbouring channels hold at the same place (Krizhevsky et al., 2012)."""

    def __init__(self, parameters: Mapping[str, Any], blobs: list[Maps]) -> None:  # noqa: ARG002
        self._reach = int(parameters.get("local_size", 5)) // 2
        self._alpha = float(parameters["alpha"]) / (2 * self._reach + 1)
        self._beta = float(parameters.get("beta", 0.75))

    def getMemoryShapes(self, inputs: list[list[int]]) -> list[list[int]]:  # noqa: N802
        return inputs

    def forward(self, inputs: list[Maps]) -> list[Maps]:
        (maps,) = inputs
        squares = maps * maps
        squares *= self._alpha
        divisor = np.ones_like(maps)
        channels = maps.shape[1]
        for shift in range(-self._reach, self._reach + 1):
            first, last = max(0, -shift), min(channels, channels - shift)
            divisor[:, first:last] += squares[:, first + shift : last + shift]
        return [maps / _power(divisor, self._beta)]


class ChannelNorm:
    """The values at each place scaled to length 1 over the channels, then each channel by its weight (ParseNet)."""

    def __init__(self, parameters: Mapping[str, Any], blobs: list[Maps]) -> None:
        self._least = float(parameters.get("eps", 1e-10))
        self._weights = np.array(blobs[0], np.float32).reshape(1, -1, 1, 1)

    def getMemoryShapes(self, inputs: list[list[int]]) -> list[list[int]]:  # noqa: N802
        return inputs

    def forward(self, inputs: list[Maps]) -> list[Maps]:
        (maps,) = inputs
        lengths = np.sqrt(np.einsum("nchw,nchw->nhw", maps, maps) + np.float32(self._least))
        scaled = maps / lengths[:, None]
        scaled *= self._weights
        return [scaled]


def _power(values: Maps, exponent: float) -> Maps:
    """Values > 0 to the power of `exponent`; two square roots take a tenth of the time of a power."""
    if exponent == 0.75:
        roots = np.sqrt(values)
        roots *= np.sqrt(roots)
        return roots
    powers: Maps = values**exponent
    return powers


for _name, _layer in (("VisageLRN", LocalResponseNorm), ("VisageNormalize", ChannelNorm)):
    cv2.dnn_registerLayer(_name, _layer)  # type: ignore[arg-type]
