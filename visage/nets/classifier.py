"""Classifiers of face crops: preprocess and infer.

A `cv2.dnn.Net` keeps the blobs of its last forward pass, so each classifier belongs to one thread at a time.
"""

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.crops import shift_box, square_crop
from visage.nets.net import read_net, set_input, to_blob
from visage.packs.pack import ClassifierSpec

# Number of crops that one net classifies before the next does, so that its weights stay in the processor's cache.
CROPS_PER_BATCH = 16


class Classifier:
    """A net that returns a probability for each label of its manifest, or one of several outputs of a net."""

    def __init__(self, spec: ClassifierSpec, net: cv2.dnn.Net | None = None) -> None:
        """Use `net`, or read it.

        Raises:
            PackError: a file is missing or altered, OpenCV cannot read it, or the net lacks the output of the manifest.
        """
        self.spec = spec
        self.net = net or read_net(spec, spec.prototxt.read())
        layers = self.net.getLayerNames()
        if spec.output and spec.output not in layers:
            raise PackError(f"{spec.prototxt.path} has no layer {spec.output}, which the manifest names as output.")
        self.output = spec.output or layers[-1]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.spec.labels

    @property
    def preprocessing(self) -> tuple[object, ...]:
        """The values that preprocessing depends on. Nets with equal values can share blobs."""
        spec = self.spec
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
        spec = self.spec
        shifted = shift_box(box, spec.crop_shift, angle)
        return to_blob(square_crop(pixels, shifted, spec.crop_scale, spec.input, angle), spec)


def infer_together(classifiers: Sequence[Classifier], blob: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return the probabilities (labels,) float32 in 0..1 for the blob of one face, for each of `classifiers`.

    They have the same net and the same preprocessing.

    Raises:
        PackError: the net has another number of outputs than its manifest has labels.
    """
    first = classifiers[0]
    set_input(first.net, blob, first.spec)
    outputs: Sequence[NDArray[np.float32]] = first.net.forward([each.output for each in classifiers])  # type: ignore[assignment]
    return [_probabilities(each.spec, output) for each, output in zip(classifiers, outputs, strict=True)]


def _probabilities(spec: ClassifierSpec, output: NDArray[np.float32]) -> NDArray[np.float32]:
    # A copy, because the next forward pass overwrites the output.
    values = output.reshape(-1).copy()
    if len(values) != len(spec.labels):
        raise PackError(
            f"{spec.prototxt.path} gives {len(values)} values a face, but its manifest names {len(spec.labels)} "
            "labels. Name one label for each value."
        )
    return values


def read_classifiers(*specs: ClassifierSpec) -> tuple[Classifier, ...]:
    """Read the classifiers of `specs`. Those of the same files get the same net."""
    nets: dict[object, cv2.dnn.Net] = {}
    for spec in specs:
        files = spec.prototxt, spec.weights
        nets[files] = nets[files] if files in nets else read_net(spec, spec.prototxt.read())
    return tuple(Classifier(spec, nets[spec.prototxt, spec.weights]) for spec in specs)


def classify_by_all(
    classifiers: Sequence[Classifier],
    pixels: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    angles: NDArray[np.float32] | None = None,
) -> list[NDArray[np.float32]]:
    """Return what `Classifier.classify` returns, for each of `classifiers`.

    `angles` (n,) float32 in radians are those by which the faces are turned clockwise; without them all are upright.

    Classifiers with the same preprocessing share their blobs, and those with the same net too its forward pass. A net
    gets one face at a time: a batch saves no time, and OpenCV would allocate memory and rearrange weights whenever the
    number of faces changes.

    Raises:
        PackError: a net has another number of outputs than its manifest has labels.
    """
    probabilities: list[NDArray[np.float32]] = [
        np.empty((len(boxes), len(each.labels)), np.float32) for each in classifiers
    ]
    if angles is None:
        angles = np.zeros(len(boxes), np.float32)
    passes = defaultdict(list)
    for classifier, rows in zip(classifiers, probabilities, strict=True):
        passes[classifier.preprocessing, id(classifier.net)].append((classifier, rows))
    for start in range(0, len(boxes), CROPS_PER_BATCH):
        batch = slice(start, start + CROPS_PER_BATCH)
        blobs: dict[object, list[NDArray[np.uint8]]] = {}
        for (preprocessing, _), members in passes.items():
            first = members[0][0]
            if preprocessing not in blobs:
                places = zip(boxes[batch], angles[batch], strict=True)
                blobs[preprocessing] = [first.preprocess(pixels, box, float(angle)) for box, angle in places]
            for index, blob in enumerate(blobs[preprocessing], start):
                found = infer_together([classifier for classifier, _ in members], blob)
                for (_, rows), values in zip(members, found, strict=True):
                    rows[index] = values
    return probabilities
