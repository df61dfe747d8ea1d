"""One wrapper for the SSD face detector: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward, so a wrapper belongs to one thread at a time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.caffe_layers import FaceOutput
from visage.nets.net import as_blob, feed, read_net
from visage.packs.pack import FaceSpec

# A picture that is thinner than this part of the net's input is padded: the last layers of an SSD have nothing left of
# a strip (res10 fails below 16 pixels). Panoramas of up to 3 to 1 are fed as they are.
_THINNEST_INPUT = 3

# A box that is thinner than this many pixels has nothing in it that could be classified.
_THINNEST_BOX = 2.0


@dataclass(frozen=True)
class Detections:
    """`boxes` (n, 4) float32 x1 y1 x2 y2 in pixels, inside the picture; `confidences` (n,) float32 in 0..1."""

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]


class FaceDetector:
    """An SSD whose last layer is Caffe's `DetectionOutput`. It takes pictures of any size."""

    def __init__(self, spec: FaceSpec) -> None:
        self._spec = spec
        prototxt = mend_prior_steps(spec.prototxt.read())
        self._read = partial(read_net, spec, prototxt)
        self._net = self._read()
        self._output = FaceOutput.of(prototxt)
        if self._output and not set(self._output.bottoms) <= set(self._net.getLayerNames()):
            self._output = None

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        """Boxes in (h, w, 3) uint8 BGR `pixels`, seen by the net at `size` (width, height).

        Clamped to the picture, degenerate ones dropped; of every confidence and with the overlaps that the net's own
        NMS leaves. No face is an empty array.
        """
        height, width = pixels.shape[:2]
        halved, times = _halve(pixels, size)
        blob = self._preprocess(halved, size)
        # What the whole blob, its padding included, stands for in pixels of the picture.
        seen_height, seen_width = (times * side for side in halved.shape[:2])
        seen = (blob.shape[3] * seen_width / size[0], blob.shape[2] * seen_height / size[1])
        return self._postprocess(self._infer(blob), seen, (width, height))

    def check(self) -> None:
        """Run the net once, on as little as it takes, and read it anew.

        The weights are laid out for every size, so no photo has a use for what this leaves. And OpenCV 4.12 never uses
        Winograd's transform in a layer that was first laid out without it, as layers of less than 12 pixels are.
        """
        self.detect(np.full((2, 2, 3), 127, np.uint8), (1, 1))
        self._net = self._read()

    def _preprocess(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        # Less than halving is left (of strips' longer side more), for which bilinear sampling misses no pixel.
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        least = min(self._spec.input) // _THINNEST_INPUT
        below, beside = (max(0, least - side) for side in resized.shape[:2])
        if below or beside:
            # What is as grey as the mean shows the net nothing.
            grey = np.rint(self._spec.mean[::-1] if self._spec.swap_rb else self._spec.mean)
            resized = cv2.copyMakeBorder(resized, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=grey.tolist()).astype(
                np.uint8, copy=False
            )
        return as_blob(resized, self._spec)

    def _infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        feed(self._net, blob, self._spec)
        output: NDArray[np.float32]
        if self._output:
            answers: Sequence[NDArray[np.float32]] = self._net.forward(self._output.bottoms)  # type: ignore[assignment]
            output = self._output.rows(*answers)
        else:
            output = self._net.forward()  # type: ignore[assignment]
        if output.ndim != 4 or output.shape[3] != 7:
            raise PackError(f"{self._spec.prototxt.path} is no SSD: its output has the shape {output.shape}.")
        return output

    def _postprocess(self, output: NDArray[np.float32], seen: tuple[float, float], size: tuple[int, int]) -> Detections:
        rows = output[0, 0]
        boxes = np.clip(rows[:, 3:7] * np.array(seen * 2, np.float32), 0, np.array(size * 2, np.float32))
        sides = boxes[:, 2:] - boxes[:, :2]
        # NaN compares false, so a box that holds one is dropped too.
        kept = (sides >= _THINNEST_BOX).all(axis=1) & (rows[:, 2] > 0)
        return Detections(boxes[kept], rows[kept, 2])


def mend_prior_steps(prototxt: bytes) -> bytes:
    """Remove from the `PriorBox` layers of an SSD the steps that are right for one input size only.

    A true stride is a power of two. res10's last two layers say 100 and 300 instead, right only where 300 pixels are
    fed; without them OpenCV derives the step from the picture, for any size. At 300 x 300 the confident boxes stay.
    """

    def keep_true_stride(match: re.Match[bytes]) -> bytes:
        step = float(match[1])
        return match[0] if step.is_integer() and int(step).bit_count() == 1 else b""

    return re.sub(rb"\bstep:\s*([0-9.]+)", keep_true_stride, prototxt)


def _halve(pixels: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
    """The picture at a half, a quarter, ... of its size, as long as it is no smaller than `size`; and by how much.

    Averaging four pixels into one is the area averaging that OpenCV is fast at, so this takes a third of the time of
    going all the way in one step. Odd last rows and columns are left out.
    """
    times = 1
    while pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        times *= 2
    return pixels, times
