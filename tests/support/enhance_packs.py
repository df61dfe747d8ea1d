"""Small super-resolution packs for tests: an EDSR in TensorFlow's format, and a luma net in Caffe's."""

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.support import edsr
from training.caffe import CaffeNet

MANIFEST = """\
name = "{name}"
version = "1"

[superres]
scale = 3
"""


def write_edsr_pack(folder: Path, blocks: int = 2, channels: int = 8) -> Path:
    """Write a small EDSR for BGR with random weights. Its receptive field reaches 2 x `blocks` + 3 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = edsr.graph(edsr.kernels(blocks, channels))
    (folder / "net.pb").write_bytes(graph)
    return _describe(folder, "small-edsr", colour="bgr", white=255.0, mean=[103.0, 111.5, 114.25], reach=2 * blocks + 3)


def write_luma_pack(folder: Path) -> Path:
    """Write a luma net with an output of (1, 9, h, w). Each of a pixel's nine parts is 0.75 times the pixel plus 0.25
    times its neighbour on that side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kernels = np.zeros((9, 1, 3, 3), np.float32)
    kernels[:, 0, 1, 1] = 0.75
    for part in range(9):
        kernels[part, 0, part // 3, part % 3] += 0.25
    net = CaffeNet("small_luma", (8, 8), input_channels=1)
    net.add(
        "Convolution",
        "parts",
        ["data"],
        "convolution_param { num_output: 9 kernel_size: 3 pad: 1 bias_term: false }",
        [kernels],
    )
    (folder / "net.prototxt").write_bytes(net.prototxt())
    (folder / "net.caffemodel").write_bytes(net.caffemodel(half=False))
    return _describe(folder, "small-luma", colour="luma", white=1.0, reach=1)


def _describe(folder: Path, name: str, **keys: object) -> Path:
    """Write the manifest. The values have the same notation in Python and TOML, except for quotation marks."""
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in keys.items()]
    for file in sorted(folder.glob("net.*")):
        key, checksum = ("prototxt", "prototxt_sha256") if file.suffix == ".prototxt" else ("weights", "sha256")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines += [f'{key} = "{file.name}"', f'{checksum} = "{digest}"']
    (folder / "pack.toml").write_text(MANIFEST.format(name=name) + "\n".join(lines) + "\n")
    return folder
