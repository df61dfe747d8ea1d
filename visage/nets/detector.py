"""The face detector, an SSD or a net without anchors: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward pass, so each detector belongs to one thread at a time.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.anchor_free import CELL_VALUES, decode_maps, layer_names
from visage.nets.detections import Detections, suppress
from visage.nets.net import read_net, set_input, to_blob
from visage.packs.pack import FaceSpec

# An image with a side of less than 1 / 3 of the net's shorter input side is padded to that, because the last layers of
# an SSD have no cells left for a narrow strip (res10 fails below 16 pixels). So panoramas of up to 3 to 1 need no
# padding.
_MAX_ASPECT = 3

# Boxes with a shorter side than this many pixels are dropped: there is nothing in them to classify.
_MIN_BOX_SIDE = 2.0


class FaceDetector:
    """An SSD whose last layer is Caffe's `DetectionOutput`, or a net as in `visage.nets.anchor_free`.

    It takes images of any size.
    """

    def __init__(self, spec: FaceSpec) -> None:
        """Read the net.

        Raises:
            PackError: a file is missing or altered, OpenCV cannot read it, or it lacks a layer of the manifest.
        """
        self._spec = spec
        prototxt = correct_prior_steps(spec.prototxt.read())
        self._read = partial(read_net, spec, prototxt)
        self._net = self._read()
        self._is_prepared = False
        self._cell_layers = layer_names(spec.strides)
        missing = set(self._cell_layers) - set(self._net.getLayerNames())
        if missing:
            raise PackError(
                f"{spec.prototxt.path} has no layer {min(missing)}. [face] strides in its manifest needs one for each "
                "stride."
            )

    def detect(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> Detections:
        """Detect faces in (h, w, 3) uint8 BGR `pixels`, resized to `size` (width, height) for the net.

        Boxes are in pixels of `pixels` and clamped to them: one for each face, of every confidence. Without a face the
        arrays are empty. Nets without anchors give landmarks.

        Raises:
            PackError: the net has another output than its manifest says.
        """
        height, width = pixels.shape[:2]
        halved, factor = halve(pixels, size)
        blob = self._preprocess(halved, size)
        # The area that the blob covers, padding included, in pixels of the image.
        covered_height, covered_width = (factor * side for side in halved.shape[:2])
        covered = (blob.shape[3] * covered_width / size[0], blob.shape[2] * covered_height / size[1])
        found = self._postprocess(self._infer(blob), covered, (width, height))
        # The non-maximum suppression of an SSD may leave several boxes for a face.
        return found if self._cell_layers else found.select(suppress(found.boxes, found.confidences))

    def prepare(self) -> None:
        """Run the net at the input size of its manifest. The first detection does so, too.

        OpenCV 4.12 never uses Winograd's transform in a layer whose first maps had a side below 12. So the size of the
        first photo would decide how long later ones take, and, by rounding, what their boxes are.
        """
        self._is_prepared = True
        width, height = self._spec.input
        self._infer(np.zeros((1, 3, height, width), np.uint8))

    def check(self) -> None:
        """Run the net once on a minimal input, then read it again.

        Nothing of that run helps later ones, because OpenCV rearranges the weights for each input size.

        Raises:
            PackError: the net has another output than its manifest says.
            cv2.error: OpenCV cannot run the net.
        """
        self._is_prepared = True
        self.detect(np.full((2, 2, 3), 127, np.uint8), (1, 1))
        self._net = self._read()
        self._is_prepared = False

    def _preprocess(self, pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        # `halve` leaves a factor below 2, at which bilinear sampling skips no pixel. The longer side of a strip may
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

    def _infer(self, blob: NDArray[np.uint8]) -> Detections:
        """Return what the net finds, in 0..1 of the blob's sides."""
        if not self._is_prepared:
            self.prepare()
        set_input(self._net, blob, self._spec)
        return self._infer_cells(*blob.shape[2:]) if self._cell_layers else self._infer_ssd()

    def _infer_cells(self, height: int, width: int) -> Detections:
        maps: Sequence[NDArray[np.float32]] = self._net.forward(self._cell_layers)  # type: ignore[assignment]
        for level, stride in zip(maps, self._spec.strides, strict=True):
            # Partial cells at the right and lower edges may be missing.
            missing = np.array([height, width]) - stride * np.array(level.shape[2:])
            if level.shape[:2] != (1, CELL_VALUES) or (abs(missing) >= stride).any():
                raise PackError(
                    f"{self._spec.prototxt.path} does not fit [face] strides: for {width} x {height} pixels its layer "
                    f"of the stride {stride} has the shape {level.shape}, not {CELL_VALUES} values a cell."
                )
        return decode_maps(maps, self._spec.strides).scaled(1 / width, 1 / height)

    def _infer_ssd(self) -> Detections:
        output: NDArray[np.float32] = self._net.forward()  # type: ignore[assignment]
        if output.ndim != 4 or output.shape[3] != 7:
            raise PackError(f"{self._spec.prototxt.path} is no SSD: its output has the shape {output.shape}.")
        # The rows of `DetectionOutput`: image, class, confidence, x1, y1, x2, y2.
        rows = output[0, 0]
        return Detections(rows[:, 3:7], rows[:, 2])

    def _postprocess(self, found: Detections, covered: tuple[float, float], size: tuple[int, int]) -> Detections:
        scaled = found.scaled(*covered)
        boxes = np.clip(scaled.boxes, 0, np.array(size * 2, np.float32))
        sides = boxes[:, 2:] - boxes[:, :2]
        # NaN compares false, so this drops boxes with a NaN too.
        valid = (sides >= _MIN_BOX_SIDE).all(axis=1) & (found.confidences > 0)
        if scaled.landmarks is not None:
            valid &= np.isfinite(scaled.landmarks).all(axis=(1, 2))
        return replace(scaled, boxes=boxes).select(valid)


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


def halve(pixels: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
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
