"""Write a net as the two files of Caffe, a prototxt and a caffemodel, and read it with cv2.dnn."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.protobuf import message, number

# Field numbers of caffe.proto (BVLC) and, for the 16-bit blobs, of the opencv-caffe.proto in OpenCV's dnn module.
_NET_LAYER = 100
_LAYER_NAME, _LAYER_TYPE, _LAYER_BLOBS = 1, 2, 7
_BLOB_DATA, _BLOB_SHAPE, _BLOB_RAW_TYPE, _BLOB_RAW = 5, 7, 10, 12
_SHAPE_DIM = 1
_FLOAT16 = 2


@dataclass
class CaffeNet:
    """The layers of a Caffe net.

    `input` is the (width, height) and `input_channels` the channels of the blob `data`. `layers` has the text of each
    layer, `blobs` the name, type and weights of each layer that has weights, `channels` the output channels by layer.
    """

    name: str
    input: tuple[int, int]
    input_channels: int = 3
    layers: list[str] = field(default_factory=list)
    blobs: list[tuple[str, str, list[NDArray[np.float32]]]] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        name: str,
        bottoms: list[str],
        parameters: str = "",
        blobs: list[NDArray[np.float32]] | None = None,
    ) -> str:
        """Append a layer of type `kind` and return the name of its output, which is the name of the layer."""
        inputs = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        body = f'name: "{name}" type: "{kind}" {inputs} top: "{name}"'
        self.layers.append(f"layer {{ {body}{' ' + parameters if parameters else ''} }}")
        if blobs:
            self.blobs.append((name, kind, blobs))
        self.channels[name] = len(blobs[0]) if kind == "Convolution" and blobs else self.channels.get(bottoms[0], 0)
        return name

    def prototxt(self) -> bytes:
        """Return the content of the prototxt: an input `data` (1, input_channels, height, width), and the layers."""
        width, height = self.input
        head = [
            f'name: "{self.name}"',
            'input: "data"',
            f"input_shape {{ dim: 1 dim: {self.input_channels} dim: {height} dim: {width} }}",
        ]
        return "\n".join([*head, *self.layers, ""]).encode()

    def caffemodel(self, *, half: bool) -> bytes:
        """Return the weights, as float16 if `half`; cv2.dnn converts them to float32."""
        return b"".join(
            message(
                _NET_LAYER,
                message(_LAYER_NAME, name.encode()),
                message(_LAYER_TYPE, kind.encode()),
                *(message(_LAYER_BLOBS, _blob(blob, half=half)) for blob in blobs),
            )
            for name, kind, blobs in self.blobs
        )


def write(folder: Path, role: str, net: CaffeNet, *, half: bool = True) -> None:
    """Write `role`.prototxt and `role`.caffemodel into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{role}.prototxt").write_bytes(net.prototxt())
    (folder / f"{role}.caffemodel").write_bytes(net.caffemodel(half=half))


def read(folder: Path, role: str) -> cv2.dnn.Net:
    """Read an exported net with OpenCV's own layers only, without those of `visage.nets.caffe_layers`."""
    return cv2.dnn.readNetFromCaffe(str(folder / f"{role}.prototxt"), str(folder / f"{role}.caffemodel"))


def _blob(values: NDArray[np.float32], *, half: bool) -> bytes:
    shape = message(_BLOB_SHAPE, *(number(_SHAPE_DIM, side) for side in values.shape))
    if half:
        return shape + number(_BLOB_RAW_TYPE, _FLOAT16) + message(_BLOB_RAW, values.astype("<f2").tobytes())
    return shape + message(_BLOB_DATA, values.astype("<f4").tobytes())
