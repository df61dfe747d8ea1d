"""YuNet, the face detector to compare with, as OpenCV runs it (Wu et al., "YuNet: A Tiny Millisecond-level Face
Detector", 2023).
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.detections import Detections
from visage.nets.detector import halve

# The values of yunet.py in opencv_zoo: the confidence from which a box counts as a face, the intersection over union
# above which two boxes are one face, and the boxes that enter non-maximum suppression.
MIN_CONFIDENCE = 0.6
_MAX_IOU, _CANDIDATES = 0.3, 5000

# Less confident boxes are dropped, as by our own nets without anchors; average precision needs those above.
_LEAST_CONFIDENCE = 0.05


class YuNet:
    """An ONNX file of YuNet. `side` is the longer side of the photos that it sees, in pixels."""

    def __init__(self, path: Path, side: int) -> None:
        """Read the net.

        Raises:
            PackError: OpenCV cannot read the file, or it is not YuNet.
        """
        self.name = f"{path.stem} at {side}"
        self._side = side
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (side, side), _LEAST_CONFIDENCE, _MAX_IOU, _CANDIDATES)
            self.detect(np.full((side, side, 3), 127, np.uint8))
        except cv2.error as error:
            reason = error.err.splitlines()[0]
            raise PackError(
                f"{path} cannot be used as YuNet: {reason}. Give a file such as yunet_2023mar.onnx."
            ) from None

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """Detect faces in (h, w, 3) uint8 BGR `pixels`, with boxes in their pixels and inside them.

        The photo is resized as for the detectors of packs, so that times compare.
        """
        height, width = pixels.shape[:2]
        scale = self._side / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        halved, factor = halve(pixels, size)
        self._net.setInputSize(size)
        # Each row has x, y, width, height, five landmarks and the confidence. There is no array without faces.
        output = self._net.detect(cv2.resize(halved, size, interpolation=cv2.INTER_LINEAR))[1]
        rows: NDArray[np.float32] = np.zeros((0, 15), np.float32) if output is None else np.asarray(output, np.float32)
        found = Detections(np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]), rows[:, 14])
        scaled = found.scaled(factor * halved.shape[1] / size[0], factor * halved.shape[0] / size[1])
        return Detections(np.clip(scaled.boxes, 0, np.array([width, height] * 2, np.float32)), scaled.confidences)
