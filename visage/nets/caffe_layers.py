"""Layers of old Caffe nets that cv2.dnn runs slowly, done with numpy: the same answers in a fraction of the time.

`cv2.dnn` raises every value of an LRN layer to its power one by one, and normalises every pixel of a Normalize layer by
itself. In the nets of Levi and Hassner (2015) LRN was 8.7 of 23 ms, in res10 Normalize 3.7 of 26 ms; as written here
0.4 and 0.3. DetectionOutput makes a box of every prior before it asks which of them is a face: 0.7 of compact's 9 ms,
and 0.1 here (benchmarks/README.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
_LAYER = re.compile(rb"\blayer\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")
_OUTPUT = re.compile(rb"detection_output_param\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_BOTTOM = re.compile(rb'\bbottom:\s*"([^"]+)"')
_FIELD = re.compile(rb"(\w+)\s*:\s*([^\s{},;]+)")
_ONE_CLASS = {
    b"num_classes": b"2",
    b"share_location": b"true",
    b"background_label_id": b"0",
    b"code_type": b"CENTER_SIZE",
}
_LIMITS = {b"nms_threshold", b"top_k", b"keep_top_k", b"confidence_threshold"}


def use_fast_layers(prototxt: bytes) -> bytes:
    """`prototxt` with the layers of this module in place of OpenCV's, where they do the same.

    All layers of a kind or none: which of them a text belongs to is not looked at.
    """
    known = {b"LRN": len(_LRN.findall(prototxt)), b"Normalize": len(_NORMALIZE.findall(prototxt))}
    for kind, count in known.items():
        layers = re.compile(rb'(\btype:\s*")' + kind + rb'"')
        if len(layers.findall(prototxt)) == count:
            prototxt = layers.sub(rb"\1Visage" + kind + rb'"', prototxt)
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


@dataclass(frozen=True)
class FaceOutput:
    """An SSD's offsets to its priors as boxes, for the one class that is not background (Liu et al., 2016).

    `bottoms` are the layers whose answers it takes. It is no layer itself: OpenCV loses 71 bytes for every answer of a
    layer in Python, and no other layer needs this one's.
    """

    bottoms: tuple[str, ...]
    least: float
    overlap: float
    candidates: int
    most: int

    @classmethod
    def of(cls, prototxt: bytes) -> "FaceOutput | None":
        """What stands for the DetectionOutput layer of a net, if it has one and that says this and nothing else."""
        layers = [layer for layer in _LAYER.findall(prototxt) if re.search(rb'\btype:\s*"DetectionOutput"', layer)]
        texts = [text for layer in layers for text in _OUTPUT.findall(layer)]
        fields = [field for text in texts for field in _FIELD.findall(text)]
        told = dict(fields)
        if len(layers) != 1 or len(fields) != len(told) or told.keys() != _ONE_CLASS.keys() | _LIMITS:
            return None
        bottoms = tuple(name.decode() for name in _BOTTOM.findall(layers[0]))
        if len(bottoms) != 3 or not told.items() >= _ONE_CLASS.items():
            return None
        try:
            least, overlap = float(told[b"confidence_threshold"]), float(told[b"nms_threshold"])
            candidates, most = int(told[b"top_k"]), int(told[b"keep_top_k"])
        except ValueError:
            return None
        # To OpenCV -1 is all of them.
        return cls(bottoms, least, overlap, candidates, most) if min(candidates, most) > 0 else None

    def rows(self, offsets: Maps, confidences: Maps, priors: Maps) -> Maps:
        """(1, 1, n, 7) as OpenCV gives it: image, class, confidence, x1, y1, x2, y2 in parts of the picture."""
        faces = confidences.reshape(-1, 2)[:, 1]
        chosen = np.flatnonzero(faces > self.least)
        chosen = chosen[np.argsort(-faces[chosen], kind="stable")[: self.candidates]]
        boxes = _decode(*(each.reshape(-1, 4)[chosen] for each in (offsets, priors[0, 0], priors[0, 1])))
        corners_and_sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
        kept = cv2.dnn.NMSBoxes(corners_and_sides, faces[chosen], 0, self.overlap)[: self.most]  # type: ignore[arg-type]
        rows = np.ones((1, 1, len(kept), 7), np.float32)
        rows[..., 0] = 0
        rows[..., 2] = faces[chosen][kept]
        rows[..., 3:] = boxes[kept]
        return rows


def _decode(offsets: Maps, priors: Maps, variances: Maps) -> Maps:
    """Boxes (n, 4) of corners: the priors' centres moved, and their sides stretched, by the offsets."""
    sides = priors[:, 2:] - priors[:, :2]
    centres = (priors[:, :2] + priors[:, 2:]) / 2 + variances[:, :2] * offsets[:, :2] * sides
    halves = np.exp(variances[:, 2:] * offsets[:, 2:]) * sides / 2
    return np.hstack([centres - halves, centres + halves])


def _power(values: Maps, exponent: float) -> Maps:
    """Values > 0 to the power of `exponent`; two square roots take a tenth of the time of a power."""
    if exponent == 0.75:
        roots = np.sqrt(values)
        roots *= np.sqrt(roots)
        return roots
    powers: Maps = values**exponent
    return powers


for _kind, _layer in {"LRN": LocalResponseNorm, "Normalize": ChannelNorm}.items():
    cv2.dnn_registerLayer(f"Visage{_kind}", _layer)  # type: ignore[arg-type]
