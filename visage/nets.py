"""One wrapper for the SSD face detector, one for a classifier of face crops: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward, so a wrapper belongs to one thread at a time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.caffe_layers import FaceOutput, use_fast_layers
from visage.errors import PackError
from visage.packs import ClassifierSpec, FaceSpec, NetSpec

# Faces whose crops are held at a time: what one net works on before the next one does, so that its weights stay in the
# processor's cache meanwhile.
CROPS_HELD = 16

# A picture that is thinner than this part of the net's input is padded: the last layers of an SSD have nothing left of
# a strip (res10 fails below 16 pixels). Panoramas of up to 3 to 1 are fed as they are.
_THINNEST_INPUT = 3

# Bytes of weights up to which Winograd's transform of them, seven times as large, is worth its memory: compact's face
# net (1.2 MB) takes a third less time with it, one of res10's size (5 MB) no less, and two workers with that then hold
# 65 MB more (benchmarks/README.md).
_MOST_FOR_WINOGRAD = 3_000_000

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
        self._read = partial(_read_net, spec, prototxt)
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
        return _blob(resized, self._spec)

    def _infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        _feed(self._net, blob, self._spec)
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


class Classifier:
    """A net that gives a probability to each label of its manifest, for every crop of a batch."""

    def __init__(self, spec: ClassifierSpec) -> None:
        self._spec = spec
        self._net = _read_net(spec, spec.prototxt.read())
        # Winograd's transform of the weights takes up to seven times their memory and gains these small inputs nothing.
        self._net.enableWinograd(useWinograd=False)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._spec.labels

    @property
    def preprocessing(self) -> tuple[object, ...]:
        """What makes a crop's values: nets of which this is equal may share them."""
        spec = self._spec
        return spec.input, spec.mean, spec.scale, spec.swap_rb, spec.crop_scale

    def classify(self, pixels: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (n, labels) in 0..1 for the faces in `boxes` (n, 4) of (h, w, 3) uint8 BGR `pixels`."""
        return classify_by_all([self], pixels, boxes)[0]

    def _preprocess(self, pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
        return _blob(square_crop(pixels, box, self._spec.crop_scale, self._spec.input), self._spec)

    def _infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        _feed(self._net, blob, self._spec)
        # A copy, because the net writes its next answer over this one.
        output: NDArray[np.float32] = self._net.forward().reshape(-1).copy()  # type: ignore[assignment]
        if len(output) != len(self.labels):
            raise PackError(
                f"{self._spec.prototxt.path} gives {len(output)} values a face, but its manifest names "
                f"{len(self.labels)} labels. Name one label for each value."
            )
        return output


def classify_by_all(
    classifiers: Sequence[Classifier], pixels: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """What each of `classifiers` says of the faces, as `Classifier.classify` does.

    Crops are cut once for all nets that are fed alike. Faces go through a net one by one: a batch saves no time, but
    every other number of faces would have OpenCV lay out its memory and its weights anew (benchmarks/README.md).
    """
    answers: list[NDArray[np.float32]] = [np.empty((len(boxes), len(each.labels)), np.float32) for each in classifiers]
    for start in range(0, len(boxes), CROPS_HELD):
        blobs: dict[object, list[NDArray[np.uint8]]] = {}
        for classifier, answer in zip(classifiers, answers, strict=True):
            fed = classifier.preprocessing
            if fed not in blobs:
                blobs[fed] = [classifier._preprocess(pixels, box) for box in boxes[start : start + CROPS_HELD]]
            for index, blob in enumerate(blobs[fed], start):
                answer[index] = classifier._infer(blob)
    return answers


def mend_prior_steps(prototxt: bytes) -> bytes:
    """Remove from the `PriorBox` layers of an SSD the steps that are right for one input size only.

    A true stride is a power of two. res10's last two layers say 100 and 300 instead, right only where 300 pixels are
    fed; without them OpenCV derives the step from the picture, for any size. At 300 x 300 the confident boxes stay.
    """

    def keep_true_stride(match: re.Match[bytes]) -> bytes:
        step = float(match[1])
        return match[0] if step.is_integer() and int(step).bit_count() == 1 else b""

    return re.sub(rb"\bstep:\s*([0-9.]+)", keep_true_stride, prototxt)


def square_crop(
    pixels: NDArray[np.uint8], box: NDArray[np.float32], crop_scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The square around the centre of `box`, `crop_scale` times its longer side, resized to `size` (width, height).

    What lies outside the picture is filled with the nearest pixels of its edge.
    """
    width, height = size
    side = max(1.0, crop_scale * float(max(box[2] - box[0], box[3] - box[1])))
    left, top = float(box[0] + box[2] - side) / 2, float(box[1] + box[3] - side) / 2
    x1, x2 = _span(left, side, pixels.shape[1])
    y1, y2 = _span(top, side, pixels.shape[0])
    # Only the part inside the picture is resized: the crop of a face that fills a large photo never exists in full.
    inside_left, inside_right = _placed(x1, x2, left, side, width)
    inside_top, inside_bottom = _placed(y1, y2, top, side, height)
    inside = _resize(pixels[y1:y2, x1:x2], (inside_right - inside_left, inside_bottom - inside_top))
    margins = (inside_top, height - inside_bottom, inside_left, width - inside_right)
    if not any(margins):
        return inside
    return cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _span(start: float, length: float, limit: int) -> tuple[int, int]:
    """The whole pixels from `start` over `length` that lie in 0..limit, at least one."""
    first = min(max(0, round(start)), limit - 1)
    return first, max(first + 1, min(limit, round(start + length)))


def _placed(first: int, last: int, start: float, length: float, size: int) -> tuple[int, int]:
    """Where the pixels `first` to `last` come to lie when `start` to `start + length` is resized to `size`."""
    low = min(max(0, round((first - start) / length * size)), size - 1)
    return low, min(size, max(low + 1, round((last - start) / length * size)))


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


def _resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = pixels.shape[1] > size[0] or pixels.shape[0] > size[1]
    # Area averaging keeps what a shrunk face shows; bilinear sampling would skip most of a large photo's pixels.
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )


def _blob(picture: NDArray[np.uint8], spec: NetSpec) -> NDArray[np.uint8]:
    """(h, w, 3) as (1, 3, h, w), in the order of channels that the net takes."""
    blob = np.empty((1, 3, *picture.shape[:2]), np.uint8)
    # Into these very planes, as they have the size and type of the picture's; blobFromImage takes three times as long.
    cv2.split(picture, list(blob[0, ::-1] if spec.swap_rb else blob[0]))
    return blob


def _feed(net: cv2.dnn.Net, blob: NDArray[np.uint8], spec: NetSpec) -> None:
    # The net takes off the mean itself: the same values as of blobFromImage, in half the time and in no memory of ours,
    # where that took two floats a value (benchmarks/README.md).
    net.setInput(blob, scalefactor=spec.scale, mean=spec.mean)


def _read_net(spec: NetSpec, prototxt: bytes) -> cv2.dnn.Net:
    """Build a net from verified bytes: what was checked is what OpenCV reads, whatever happens to the files."""
    weights = np.frombuffer(spec.weights.read(), np.uint8)
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(use_fast_layers(prototxt), np.uint8), weights)
    except cv2.error as error:
        raise PackError(f"OpenCV cannot read {spec.prototxt.path} with {spec.weights.path}: {error.err}.") from None
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.enableWinograd(useWinograd=len(weights) <= _MOST_FOR_WINOGRAD)
    return net
