"""The SSD face detector: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward pass, so each detector belongs to one thread at a time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.caffe_layers import DetectionOutput
from visage.nets.net import read_net, set_input, to_blob
from visage.packs.pack import FaceSpec

# An image with a side of less than 1 / 3 of the net's shorter input side is padded to that, because the last layers of
# an SSD have no cells left for a narrow strip (res10 fails below 16 pixels). So panoramas of up to 3 to 1 need no
# padding.
_MAX_ASPECT = 3

# Boxes with a shorter side than this many pixels are dropped: there is nothing in them to classify.
_MIN_BOX_SIDE = 2.0


@dataclass(frozen=True)
class Detections:
    """`boxes` (n, 4) float32, x1 y1 x2 y2 in pixels, inside the image; `confidences` (n,) float32 in 0..1."""

    boxes: NDArray[np.float32]
    confidences: NDArray[np.float32]

    @classmethod
    def concatenate(cls, parts: Sequence["Detections"]) -> "Detections":
        """Return the detections of all `parts`, of which there must be at least one, in their order."""
        return cls(np.concatenate([part.boxes for part in parts]), np.concatenate([part.confidences for part in parts]))

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Detections":
        """Return those where the mask `which` (n,) is true, or those at its indices, in their order."""
        return Detections(self.boxes[which], self.confidences[which])


class FaceDetector:
    """An SSD whose last layer is Caffe's `DetectionOutput`. It takes images of any size."""

    def __init__(self, spec: FaceSpec) -> None:
        """Read the net.

        Raises:
            PackError: a file is missing or altered, or OpenCV cannot read it.
        """
        self._spec = spec
        prototxt = correct_prior_steps(spec.prototxt.read())
        self._read = partial(read_net, spec, prototxt)
        self._net = self._read()
        self._output = DetectionOutput.from_prototxt(prototxt)
        if self._output and not set(self._output.bottoms) <= set(self._net.getLayerNames()):
            self._output = None

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        """Detect faces in (h, w, 3) uint8 BGR `pixels`, resized to `size` (width, height) for the net.

        Boxes are in pixels of `pixels` and clamped to them. They have every confidence and may overlap as much as the
        net's own non-maximum suppression allows. Without a face the arrays are empty.

        Raises:
            PackError: the net is no SSD.
        """
        height, width = pixels.shape[:2]
        halved, factor = _halve(pixels, size)
        blob = self._preprocess(halved, size)
        # The area that the blob covers, padding included, in pixels of the image.
        covered_height, covered_width = (factor * side for side in halved.shape[:2])
        covered = (blob.shape[3] * covered_width / size[0], blob.shape[2] * covered_height / size[1])
        return self._postprocess(self._infer(blob), covered, (width, height))

    def check(self) -> None:
        """Run the net once on a minimal input, then read it again.

        Nothing of that run helps later ones, because OpenCV rearranges the weights for each input size. And OpenCV 4.12
        never uses Winograd's transform in a layer that first ran without it, as layers of less than 12 pixels do.

        Raises:
            PackError: the net is no SSD.
            cv2.error: OpenCV cannot run the net.
        """
        self.detect(np.full((2, 2, 3), 127, np.uint8), (1, 1))
        self._net = self._read()

    def _preprocess(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        # `_halve` leaves a factor below 2, at which bilinear sampling skips no pixel. The longer side of a strip may
        # shrink more.
        resized = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        min_side = min(self._spec.input) // _MAX_ASPECT
        below, right = (max(0, min_side - side) for side in resized.shape[:2])
        if below or right:
            # To the net the mean is zero, or nearly so once rounded.
            mean = np.rint(self._spec.mean[::-1] if self._spec.swap_rb else self._spec.mean)
            resized = cv2.copyMakeBorder(resized, 0, below, 0, right, cv2.BORDER_CONSTANT, value=mean.tolist()).astype(
                np.uint8, copy=False
            )
        return to_blob(resized, self._spec)

    def _infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the rows (1, 1, n, 7) of `DetectionOutput`: image, class, confidence, x1, y1, x2, y2 in 0..1."""
        set_input(self._net, blob, self._spec)
        output: NDArray[np.float32]
        if self._output:
            bottoms: Sequence[NDArray[np.float32]] = self._net.forward(self._output.bottoms)  # type: ignore[assignment]
            output = self._output.forward(*bottoms)
        else:
            output = self._net.forward()  # type: ignore[assignment]
        if output.ndim != 4 or output.shape[3] != 7:
            raise PackError(f"{self._spec.prototxt.path} is no SSD: its output has the shape {output.shape}.")
        return output

    def _postprocess(
        self, output: NDArray[np.float32], covered: tuple[float, float], size: tuple[int, int]
    ) -> Detections:
        rows = output[0, 0]
        boxes = np.clip(rows[:, 3:7] * np.array(covered * 2, np.float32), 0, np.array(size * 2, np.float32))
        sides = boxes[:, 2:] - boxes[:, :2]
        # NaN compares false, so this drops boxes with a NaN too.
        valid = (sides >= _MIN_BOX_SIDE).all(axis=1) & (rows[:, 2] > 0)
        return Detections(boxes, rows[:, 2]).select(valid)


def correct_prior_steps(prototxt: bytes) -> bytes:
    """Remove from the `PriorBox` layers of an SSD the steps that fit one input size only.

    A step that is the stride of its layer is a power of two. The last two layers of res10 say 100 and 300 instead,
    which is right only for an input of 300 pixels. Without a step OpenCV computes it from the input, for any size. At
    300 x 300 the confident boxes stay the same.
    """

    def keep_true_stride(match: re.Match[bytes]) -> bytes:
        step = float(match[1])
        return match[0] if step.is_integer() and int(step).bit_count() == 1 else b""

    return re.sub(rb"\bstep:\s*([0-9.]+)", keep_true_stride, prototxt)


def _halve(pixels: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
    """Halve the image as often as it stays at least as large as `size`; return it and the factor, a power of two.

    OpenCV is fast at averaging 2 x 2 pixels, so this takes a third of the time of area averaging in one step. An odd
    last row or column is dropped.
    """
    factor = 1
    while pixels.shape[1] >= 2 * size[0] and pixels.shape[0] >= 2 * size[1]:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA).astype(
            np.uint8, copy=False
        )
        factor *= 2
    return pixels, factor
