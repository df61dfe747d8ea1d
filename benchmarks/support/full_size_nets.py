"""A pack with nets of the usual size and random weights: right for speed and memory, meaningless as results.

The shapes are those of res10 (10 MB) and of the age and gender nets of Levi and Hassner (2015; 44 MB each). The
detector finds the same two faces in every image.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.support.ssd import Level, add_detection
from training.caffe import CaffeNet, write

AGES = ("(0-2)", "(4-6)", "(8-12)", "(15-20)", "(25-32)", "(38-43)", "(48-53)", "(60-100)")

MANIFEST = """\
name = "fullsize"
version = "1"
description = "Random weights in the shapes of res10 and of the nets of Levi and Hassner: for speed and memory alone."
"""

TABLE = """
[{role}]
prototxt = "{role}.prototxt"
weights = "{role}.caffemodel"
sha256 = "{weights}"
prototxt_sha256 = "{prototxt}"
input = [{side}, {side}]
mean = {mean}
scale = 1.0
swap_rb = false
{rest}
"""

FACE_MEAN, CROP_MEAN = [104.0, 177.0, 123.0], [78.4263377603, 87.7689143744, 114.895847746]


def write_pack(folder: Path) -> Path:
    """Write the three nets and their manifest into `folder`, unless they exist, and return `folder`."""
    manifest = folder / "pack.toml"
    if manifest.exists():
        return folder
    write(folder, "face", detector(), half=False)
    # So `detail=auto` looks twice, as at most photos of large faces, and drops what the coarse pass finds elsewhere.
    rest = "min_confidence = 0.7\nsmallest_face = 36"
    tables = [table(folder, "face", 300, FACE_MEAN, rest)]
    for seed, (role, labels) in enumerate({"gender": ["Male", "Female"], "age": list(AGES)}.items()):
        write(folder, role, classifier(role, len(labels), seed), half=False)
        # Lists of strings in Python and TOML differ only in their quotation marks.
        rest = f"crop_scale = 1.4\nlabels = {labels}".replace("'", '"')
        tables.append(table(folder, role, 227, CROP_MEAN, rest))
    ranges = [[int(year) for year in age.strip("()").split("-")] for age in AGES]
    manifest.write_text(f"{MANIFEST}{''.join(tables)}ranges = {ranges}\n")
    return folder


def table(folder: Path, role: str, side: int, mean: list[float], rest: str) -> str:
    """The table of one net in the manifest."""
    weights, prototxt = (
        hashlib.sha256((folder / f"{role}.{kind}").read_bytes()).hexdigest() for kind in ("caffemodel", "prototxt")
    )
    return TABLE.format(role=role, weights=weights, prototxt=prototxt, side=side, mean=mean, rest=rest)


class Builder:
    """A net, built layer by layer. Random weights are scaled so that values neither vanish nor explode."""

    def __init__(self, name: str, side: int, seed: int) -> None:
        self.net = CaffeNet(name, (side, side))
        self._random = np.random.default_rng(seed)

    def weights(self, *shape: int) -> NDArray[np.float32]:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return self._random.normal(0, scale, shape).astype(np.float32)

    def convolution(
        self, name: str, bottom: str, shape: tuple[int, int, int], stride: int = 1, *, pad: int = 0, dilation: int = 1
    ) -> str:
        """`shape` is (outputs, inputs, kernel)."""
        outputs, inputs, kernel = shape
        parameters = (
            f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} stride: {stride} pad: {pad} "
            f"dilation: {dilation} }}"
        )
        blobs = [self.weights(outputs, inputs, kernel, kernel), np.zeros(outputs, np.float32)]
        return self.net.add("Convolution", name, [bottom], parameters, blobs)

    def norm(self, name: str, bottom: str, channels: int) -> str:
        """A batch norm that changes nothing, its scale, and a ReLU."""
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        normed = self.net.add("BatchNorm", f"{name}_bn", [bottom], "", [zeros, ones, np.ones(1, np.float32)])
        scaled = self.net.add("Scale", f"{name}_scale", [normed], "scale_param { bias_term: true }", [ones, zeros])
        return self.relu(name, scaled)

    def relu(self, name: str, bottom: str) -> str:
        return self.net.add("ReLU", f"{name}_relu", [bottom])

    def pool(self, name: str, bottom: str) -> str:
        return self.net.add("Pooling", name, [bottom], "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")

    def linear(self, name: str, bottom: str, inputs: int, outputs: int) -> str:
        blobs = [self.weights(outputs, inputs), np.zeros(outputs, np.float32)]
        return self.net.add("InnerProduct", name, [bottom], f"inner_product_param {{ num_output: {outputs} }}", blobs)


def classifier(role: str, outputs: int, seed: int) -> CaffeNet:
    """Levi and Hassner's net: three convolutions with LRN, and two linear layers of 512."""
    build = Builder(f"fullsize_{role}", 227, seed)
    lrn = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    top = "data"
    for number, (shape, stride, pad) in enumerate((((96, 3, 7), 4, 0), ((256, 96, 5), 1, 2), ((384, 256, 3), 1, 1)), 1):
        top = build.relu(f"conv{number}", build.convolution(f"conv{number}", top, shape, stride, pad=pad))
        top = build.pool(f"pool{number}", top)
        if number < 3:
            top = build.net.add("LRN", f"norm{number}", [top], lrn)
    for name, inputs in (("fc6", 384 * 7 * 7), ("fc7", 512)):
        top = build.relu(name, build.linear(name, top, inputs, 512))
        top = build.net.add("Dropout", f"{name}_drop", [top], "dropout_param { dropout_ratio: 0.5 }")
    build.net.add("Softmax", "prob", [build.linear("fc8", top, 512, outputs)])
    return build.net


def detector() -> CaffeNet:
    """res10: a residual net of ten layers with an SSD head of six levels."""
    build = Builder("fullsize_face", 300, 9)
    top = build.norm("data", "data", 3)
    top = build.norm("conv1", build.convolution("conv1", top, (32, 3, 7), 2, pad=3), 32)
    pool = build.pool("conv1_pool", top)
    first = build.norm("block1", build.convolution("block1_conv1", pool, (32, 32, 3), pad=1), 32)
    top = add(build, "block1", build.convolution("block1_conv2", first, (32, 32, 3), pad=1), pool)
    top, _ = residual(build, "block2", top, (32, 128, 128), stride=2)
    top, early = residual(build, "block3", top, (128, 256, 256), stride=2)
    top, _ = residual(build, "block4", top, (256, 128, 256), stride=1)
    last = build.norm("last", top, 256)
    twenty = np.full(128, 20, np.float32)
    normed = build.net.add("Normalize", "early", [early], "norm_param { across_spatial: false }", [twenty])
    levels = [(normed, 128, 4, (30, 60), 8), (last, 256, 6, (60, 111), 16)]
    top = last
    shapes = ((256, 128, 256, 2), (256, 64, 128, 2), (128, 64, 128, 1), (128, 64, 128, 1))
    sizes = ((111, 162, 32, 6), (162, 213, 64, 6), (213, 264, 64, 4), (264, 315, 64, 4))
    for number, ((inputs, narrow, wide, stride), (least, most, step, priors)) in enumerate(
        zip(shapes, sizes, strict=True), 6
    ):
        top = build.relu(f"conv{number}_1", build.convolution(f"conv{number}_1", top, (narrow, inputs, 1)))
        top = build.convolution(f"conv{number}_2", top, (wide, narrow, 3), stride, pad=1)
        top = build.relu(f"conv{number}_2", top)
        levels.append((top, wide, priors, (least, most), step))
    add_boxes(build, levels)
    return build.net


def add(build: Builder, name: str, *bottoms: str) -> str:
    return build.net.add("Eltwise", f"{name}_sum", list(bottoms))


def residual(build: Builder, name: str, top: str, widths: tuple[int, int, int], stride: int) -> tuple[str, str]:
    """A pre-activation block (He et al., 2016). Returns its sum and its normalized input."""
    inputs, middle, outputs = widths
    normed = build.norm(name, top, inputs)
    first = build.norm(
        f"{name}_1", build.convolution(f"{name}_conv1", normed, (middle, inputs, 3), stride, pad=1), middle
    )
    # The last block has a dilation in place of a stride, with the same receptive field.
    reach = 2 if stride == 1 else 1
    second = build.convolution(f"{name}_conv2", first, (outputs, middle, 3), pad=reach, dilation=reach)
    return add(build, name, second, build.convolution(f"{name}_expand", normed, (outputs, inputs, 1), stride)), normed


def add_boxes(build: Builder, levels: Sequence[tuple[str, int, int, tuple[int, int], int]]) -> None:
    """Add the heads of the SSD. Only the last level has confident priors, and its best two boxes are kept."""
    heads = []
    for number, (top, channels, priors, (least, most), step) in enumerate(levels):
        # A box of a fifth to a quarter of the prior's size, a little right of and below its centre.
        offsets = np.tile([1, 1, np.log(0.2) / 0.2, np.log(0.25) / 0.2], priors)
        classes = np.tile([8, 0], priors)
        if number == len(levels) - 1:
            classes[:2] = 0, 8
        for name, values in (("offsets", offsets), ("classes", classes)):
            build.convolution(f"level{number}_{name}", top, (len(values), channels, 3), pad=1)
            kernel, bias = build.net.blobs[-1][2]
            kernel[:], bias[:] = 0, values
        shapes = f"min_size: {least} max_size: {most} aspect_ratio: 2{' aspect_ratio: 3' * (priors == 6)} flip: true"
        level = f"level{number}"
        heads.append(Level(f"{level}_priors", f"{level}_classes", f"{level}_offsets", shapes, step))
    add_detection(build.net, heads, keep=2)
