"""A model pack of three tiny Caffe nets with hand-set weights, for tests that need nets but no real faces.

Its "faces" are magenta squares: the detector has one filter, for red and blue without green. Gender depends on red
against blue, age on the brightness of the square. The nets run through the same reader, wrappers and threads as any
other pack.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.caffe import CaffeNet

MAGENTA = (255, 0, 255)  # BGR

REDDISH = (170, 0, 255)

BLUISH = (255, 0, 170)

# An input of 96 x 96 pixels, 16-pixel cells, and one prior of 24 pixels per cell.
FACE_PROTOTXT = """\
name: "tiny_face"
input: "data"
input_shape { dim: 1 dim: 3 dim: 96 dim: 96 }
layer { name: "loc" type: "Convolution" bottom: "data" top: "loc"
  convolution_param { num_output: 4 kernel_size: 16 stride: 16 } }
layer { name: "conf" type: "Convolution" bottom: "data" top: "conf"
  convolution_param { num_output: 2 kernel_size: 16 stride: 16 } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" flatten_param { axis: 1 } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "conf_cells" type: "Reshape" bottom: "conf_perm" top: "conf_cells"
  reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "conf_softmax" type: "Softmax" bottom: "conf_cells" top: "conf_softmax" softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "conf_softmax" top: "conf_flat" flatten_param { axis: 1 } }
layer { name: "priors" type: "PriorBox" bottom: "conf" bottom: "data" top: "priors"
  prior_box_param { min_size: 24 clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2
    step: 16 offset: 0.5 } }
layer { name: "detection_out" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat" bottom: "priors"
  top: "detection_out"
  detection_output_param { num_classes: 2 share_location: true background_label_id: 0
    nms_param { nms_threshold: 0.45 top_k: 400 } code_type: CENTER_SIZE keep_top_k: 200
    confidence_threshold: 0.01 } }
"""

CLASSIFIER_PROTOTXT = """\
name: "tiny_classifier"
input: "data"
input_shape {{ dim: 1 dim: 3 dim: 16 dim: 16 }}
layer {{ name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {{ pool: AVE kernel_size: 16 }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {{ num_output: {outputs} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "fc" top: "prob" }}
"""

# Name, type, weights and bias.
Layer = tuple[str, str, NDArray[np.float32], NDArray[np.float32]]

GENDER_LAYER: Layer = (
    "fc",
    "InnerProduct",
    np.array([[4, 0, -4], [-4, 0, 4]], np.float32),
    np.zeros(2, np.float32),
)
AGE_LAYER: Layer = (
    "fc",
    "InnerProduct",
    np.array([[2, 0, 2], [0, 0, 0], [-2, 0, -2]], np.float32),
    np.array([-3, 0, 0], np.float32),
)

MANIFEST = """\
name = "tiny"
version = "1"
description = "Three tiny nets that detect magenta squares as faces."

[face]
prototxt = "face.prototxt"
weights = "face.caffemodel"
sha256 = "{face_weights}"
prototxt_sha256 = "{face_prototxt}"
input = [96, 96]
mean = [127.5, 127.5, 127.5]
scale = 0.00784313725
swap_rb = false
min_confidence = 0.5

[gender]
prototxt = "gender.prototxt"
weights = "gender.caffemodel"
sha256 = "{gender_weights}"
prototxt_sha256 = "{gender_prototxt}"
input = [16, 16]
mean = [127.5, 127.5, 127.5]
scale = 0.00784313725
swap_rb = false
crop_scale = 1.0
labels = ["Male", "Female"]

[age]
prototxt = "age.prototxt"
weights = "age.caffemodel"
sha256 = "{age_weights}"
prototxt_sha256 = "{age_prototxt}"
input = [16, 16]
mean = [127.5, 127.5, 127.5]
scale = 0.00784313725
swap_rb = false
crop_scale = 1.0
labels = ["(0-9)", "(10-49)", "(50-99)"]
ranges = [[0, 9], [10, 49], [50, 99]]
"""


def write_tiny_pack(folder: Path) -> Path:
    """Write the pack into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    each = np.ones((1, 1, 16, 16), np.float32) / 256
    magenta = np.concatenate([each, -2 * each, each], axis=1)
    files = {
        "face.prototxt": FACE_PROTOTXT.encode(),
        "face.caffemodel": as_caffemodel(
            ("loc", "Convolution", np.zeros((4, 3, 16, 16), np.float32), np.zeros(4, np.float32)),
            ("conf", "Convolution", np.concatenate([0 * magenta, 4 * magenta]), np.array([0, -8], np.float32)),
        ),
        "gender.prototxt": CLASSIFIER_PROTOTXT.format(outputs=2).encode(),
        "gender.caffemodel": as_caffemodel(GENDER_LAYER),
        "age.prototxt": CLASSIFIER_PROTOTXT.format(outputs=3).encode(),
        "age.caffemodel": as_caffemodel(AGE_LAYER),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    checksums = {
        name.replace("caffemodel", "weights").replace(".", "_"): hashlib.sha256(content).hexdigest()
        for name, content in files.items()
    }
    (folder / "pack.toml").write_text(MANIFEST.format(**checksums))
    return folder


def draw(
    width: int = 384, height: int = 384, faces: dict[tuple[int, int, int, int], tuple[int, int, int]] | None = None
) -> NDArray[np.uint8]:
    """A grey image, (h, w, 3) uint8 BGR, with a rectangle of the given BGR colour at each box (x1, y1, x2, y2)."""
    pixels = np.full((height, width, 3), 127, np.uint8)
    for (x1, y1, x2, y2), colour in (faces or {}).items():
        pixels[y1:y2, x1:x2] = colour
    return pixels


def as_caffemodel(*layers: Layer) -> bytes:
    """A weights file of layers, each given as name, type, weights and bias."""
    blobs = [(name, kind, list(weights)) for name, kind, *weights in layers]
    return CaffeNet("tiny", (0, 0), blobs=blobs).caffemodel(half=False)


# Three faces exactly at priors of the tiny detector, so the expected boxes are exact.
TINY_FACES = {(48, 48, 144, 144): MAGENTA, (240, 176, 336, 272): REDDISH, (48, 240, 144, 336): BLUISH}
