"""The tiny pack with a detector without anchors, which gives landmarks.

It finds the same magenta squares in the same boxes as the SSD of the tiny pack, with five landmarks at fixed places.
"""

import hashlib
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.tiny_pack import write_tiny_pack
from training.caffe import CaffeNet

STRIDE = 16

# Of the SSD's prior: 24 pixels, around the centre of the cell.
_SIDE = 1.5

# Where the landmarks are in a box, from 0 to 1: eyes, nose, mouth corners of an upright face.
LANDMARKS_OF_A_FACE: NDArray[np.float32] = np.array(
    [(0.25, 0.375), (0.75, 0.375), (0.5, 0.5), (0.25, 0.75), (0.75, 0.75)], np.float32
)


def write_landmark_pack(folder: Path, landmarks: NDArray[np.float32] = LANDMARKS_OF_A_FACE, outputs: int = 15) -> Path:
    """Write the pack into `folder` and return it. `landmarks` (5, 2) are where the detector sees them in every box."""
    write_tiny_pack(folder)
    weights = np.zeros((outputs, 3, STRIDE, STRIDE), np.float32)
    weights[0] = np.array([1, -2, 1], np.float32)[:, None, None] * 4 / STRIDE**2
    bias = np.zeros(outputs, np.float32)
    bias[0], bias[3:5] = -8, np.log(_SIDE)
    bias[5:15] = ((landmarks - 0.5) * _SIDE).reshape(-1)
    net = CaffeNet("tiny_landmarks", (96, 96))
    parameters = f"convolution_param {{ num_output: {outputs} kernel_size: {STRIDE} stride: {STRIDE} }}"
    net.add("Convolution", f"stride_{STRIDE}", ["data"], parameters, [weights, bias])
    files = {"prototxt_sha256": net.prototxt(), "sha256": net.caffemodel(half=False)}
    (folder / "face.prototxt").write_bytes(files["prototxt_sha256"])
    (folder / "face.caffemodel").write_bytes(files["sha256"])
    manifest = (folder / "pack.toml").read_text().replace("min_confidence", f"strides = [{STRIDE}]\nmin_confidence")
    for key, content in files.items():
        # The face net's checksums are the first of the manifest.
        manifest = re.sub(rf'(?m)^{key} = "\w+"', f'{key} = "{hashlib.sha256(content).hexdigest()}"', manifest, count=1)
    (folder / "pack.toml").write_text(manifest)
    return folder
