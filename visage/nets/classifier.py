"""Classifiers of face crops: preprocess and infer.

A `cv2.dnn.Net` keeps the blobs of its last forward pass, so each classifier belongs to one thread at a time.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.crops import shift_box, square_crop
from visage.nets.net import read_net, set_input, to_blob
from visage.packs.pack import ClassifierSpec

# Number of crops that one net classifies before the next does, so that its weights stay in the processor's cache.
CROPS_PER_BATCH = 16


class Classifier:
    """A net that returns a probability for each label of its manifest."""

    def __init__(self, spec: ClassifierSpec) -> None:
        self._spec = spec
        self._net = read_net(spec, spec.prototxt.read())
        # Winograd's transform takes up to seven times the memory of the weights, and small inputs gain nothing.
        self._net.enableWinograd(useWinograd=False)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._spec.labels

    @property
    def preprocessing(self) -> tuple[object, ...]:
        """The values that preprocessing depends on. Nets with equal values can share blobs."""
        spec = self._spec
        return spec.input, spec.mean, spec.scale, spec.swap_rb, spec.crop_scale, spec.crop_shift

    def classify(self, pixels: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities (n, labels) float32 in 0..1 for the faces in (h, w, 3) uint8 BGR `pixels`.

        `boxes` are (n, 4) float32, x1 y1 x2 y2 in pixels.

        Raises:
            PackError: the net has another number of outputs than its manifest has labels.
        """
        return classify_by_all([self], pixels, boxes)[0]

    def preprocess(self, pixels: NDArray[np.uint8], box: NDArray[np.float32], angle: float) -> NDArray[np.uint8]:
        """Return the blob (1, channels, height, width) uint8 of one face.

        `pixels` are (h, w, 3) uint8 BGR, `box` is (4,) float32, x1 y1 x2 y2 in pixels, and `angle` is in radians
        clockwise.
        """
        spec = self._spec
        shifted = shift_box(box, spec.crop_shift, angle)
        return to_blob(square_crop(pixels, shifted, spec.crop_scale, spec.input, angle), spec)

    def infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities (labels,) float32 in 0..1 for the blob of one face.

        Raises:
            PackError: the net has another number of outputs than its manifest has labels.
        """
        set_input(self._net, blob, self._spec)
        # A copy, because the next forward pass overwrites the output.
        output: NDArray[np.float32] = self._net.forward().reshape(-1).copy()  # type: ignore[assignment]
        if len(output) != len(self.labels):
            raise PackError(
                f"{self._spec.prototxt.path} gives {len(output)} values a face, but its manifest names "
                f"{len(self.labels)} labels. Name one label for each value."
            )
        return output


def classify_by_all(
    classifiers: Sequence[Classifier],
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    angles: NDArray[np.float32] | None = None,
) -> list[NDArray[np.float32]]:
    """Return what `Classifier.classify` returns, for each of `classifiers`.

    `angles` (n,) float32 in radians are those by which the faces are turned clockwise; without them all are upright.

    Nets with the same preprocessing share their blobs. A net classifies one face at a time: a batch saves no time, and
    OpenCV would allocate memory and rearrange weights whenever the number of faces changes.

    Raises:
        PackError: a net has another number of outputs than its manifest has labels.
    """
    probabilities: list[NDArray[np.float32]] = [
        np.empty((len(boxes), len(each.labels)), np.float32) for each in classifiers
    ]
    if angles is None:
        angles = np.zeros(len(boxes), np.float32)
    for start in range(0, len(boxes), CROPS_PER_BATCH):
        batch = slice(start, start + CROPS_PER_BATCH)
        blobs: dict[object, list[NDArray[np.uint8]]] = {}
        for classifier, rows in zip(classifiers, probabilities, strict=True):
            key = classifier.preprocessing
            if key not in blobs:
                places = zip(boxes[batch], angles[batch], strict=True)
                blobs[key] = [classifier.preprocess(pixels, box, float(angle)) for box, angle in places]
            for index, blob in enumerate(blobs[key], start):
                rows[index] = classifier.infer(blob)
    return probabilities
