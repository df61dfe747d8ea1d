"""One wrapper for a classifier of face crops: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward, so a wrapper belongs to one thread at a time.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.crops import square_crop
from visage.nets.net import read_net, set_input, to_blob
from visage.packs.pack import ClassifierSpec

# Faces whose crops are held at a time: what one net works on before the next one does, so that its weights stay in the
# processor's cache meanwhile.
CROPS_HELD = 16


class Classifier:
    """A net that gives a probability to each label of its manifest, for every crop of a batch."""

    def __init__(self, spec: ClassifierSpec) -> None:
        self._spec = spec
        self._net = read_net(spec, spec.prototxt.read())
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
        return to_blob(square_crop(pixels, box, self._spec.crop_scale, self._spec.input), self._spec)

    def _infer(self, blob: NDArray[np.uint8]) -> NDArray[np.float32]:
        set_input(self._net, blob, self._spec)
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
