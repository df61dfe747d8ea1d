"""Face detectors to learn from, as ONNX files: CenterFace, run by onnxruntime, and YuNet, run by OpenCV.

Every teacher returns (n, 15) float32 rows: score in 0..1, box x1 y1 x2 y2, and five landmarks x y, in pixels of the
photo. The landmarks are the person's right eye, left eye, nose tip, right and left corner of the mouth.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from visage.nets.detections import suppress

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float32]

COLUMNS = 15

# The landmarks of a mirrored face, in the order of those of the face itself: left and right change places.
MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]
NOTHING: Rows = np.zeros((0, COLUMNS), np.float32)

# The outputs of centerface.onnx: scores, log sizes, offsets of the centre, landmarks.
_CENTERFACE_OUTPUTS = ("537", "538", "539", "540")
_CENTERFACE_STRIDE = 4
_CENTERFACE_MULTIPLE = 32


class CenterFace:
    """Xu et al., 2019 (MIT). The strongest of the teachers: 0.93 / 0.90 / 0.64 on WIDER FACE at 640 pixels."""

    def __init__(self, path: Path, least_score: float = 0.1) -> None:
        self._session = _session_of_any_size(path)
        self._least = least_score

    def __call__(self, photo: Pixels, longer: int) -> Rows:
        """The faces of (h, w, 3) uint8 BGR `photo`, seen at `longer` pixels."""
        picture, scale = _resized(photo, longer, _CENTERFACE_MULTIPLE)
        blob = cv2.dnn.blobFromImage(picture, swapRB=True)
        scores, sizes, offsets, points = self._session.run(list(_CENTERFACE_OUTPUTS), {"input.1": blob})
        row, column = np.nonzero(scores[0, 0] > self._least)
        height, width = np.exp(sizes[0, :, row, column]).T * _CENTERFACE_STRIDE
        centre_y, centre_x = (np.stack([row, column]) + offsets[0, :, row, column].T + 0.5) * _CENTERFACE_STRIDE
        left, top = centre_x - width / 2, centre_y - height / 2
        faces = np.empty((len(row), COLUMNS), np.float32)
        faces[:, 0] = scores[0, 0, row, column]
        faces[:, 1:5] = np.stack([left, top, left + width, top + height], 1)
        found = points[0, :, row, column]
        faces[:, 5::2] = found[:, 1::2] * width[:, None] + left[:, None]
        faces[:, 6::2] = found[:, 0::2] * height[:, None] + top[:, None]
        return _in_photo(faces[suppress(faces[:, 1:5], faces[:, 0], 0.35)], scale)


class YuNet:
    """Wu et al., 2023, of opencv_zoo (MIT): of another family, so that its agreement says something."""

    def __init__(self, path: Path, least_score: float = 0.1) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), least_score, 0.45, 1000)

    def __call__(self, photo: Pixels, longer: int) -> Rows:
        """The faces of (h, w, 3) uint8 BGR `photo`, seen at `longer` pixels."""
        picture, scale = _resized(photo, longer, 1)
        self._detector.setInputSize((picture.shape[1], picture.shape[0]))
        found = self._detector.detect(picture)[1]
        if found is None:
            return NOTHING
        corners = np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]])
        return _in_photo(np.hstack([found[:, 14:15], corners, found[:, 4:14]]).astype(np.float32), scale)


def mirrored(rows: Rows, width: int) -> Rows:
    """What was found in the mirrored photo of `width` pixels, as it lies in the photo itself."""
    result = rows.copy()
    result[:, 1], result[:, 3] = width - rows[:, 3], width - rows[:, 1]
    points = rows[:, 5:].reshape(-1, 5, 2)[:, MIRRORED_LANDMARKS]
    result[:, 5::2], result[:, 6::2] = width - points[..., 0], points[..., 1]
    return result


def _session_of_any_size(path: Path) -> Any:
    """centerface.onnx names one input size; the net takes any."""
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for axis, side in enumerate(value.type.tensor_type.shape.dim):
            side.dim_param = f"{value.name}_{axis}"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _resized(photo: Pixels, longer: int, multiple: int) -> tuple[Pixels, tuple[float, float]]:
    """The photo with `longer` pixels along its longer side, padded to a multiple; and the scale across and down."""
    height, width = photo.shape[:2]
    scale = longer / max(height, width)
    size = (max(32, round(width * scale)), max(32, round(height * scale)))
    picture = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = cv2.copyMakeBorder(picture, 0, -size[1] % multiple, 0, -size[0] % multiple, cv2.BORDER_CONSTANT)
    return picture.astype(np.uint8, copy=False), (size[0] / width, size[1] / height)


def _in_photo(rows: Rows, scale: tuple[float, float]) -> Rows:
    result = rows.copy()
    result[:, 1::2] /= scale[0]
    result[:, 2::2] /= scale[1]
    return result
