"""The installed OpenCV computes convolutions correctly with each of its algorithms.

It has separate code for 3 x 3, for depthwise and for other convolutions, and for several instruction sets. An OpenCV
compiled with CPU_BASELINE=AVX512_SKX, but without docker/opencv-avx512-depthwise.patch, fails at depthwise 5 x 5.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.caffe import CaffeNet

# Largest error over the largest value. Winograd's algorithm for 3 x 3 is less exact than the definition.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Convolution:
    """A convolution and its input. It is depthwise if there are as many groups as channels."""

    channels: int
    kernels: int
    side: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    groups: int = 1
    images: int = 1
    width: int = 150
    height: int = 41


CASES = {
    "3 x 3": Convolution(24, 24, 3, pad=1),
    "3 x 3, one channel, odd number of kernels": Convolution(1, 9, 3, pad=1),
    "3 x 3, more channels than the cache holds": Convolution(120, 6, 3, pad=1),
    "3 x 3, fewer pixels than one step computes": Convolution(17, 5, 3, width=9, height=8),
    "3 x 3, several images": Convolution(7, 5, 3, pad=1, images=3),
    "3 x 3 in groups": Convolution(8, 12, 3, pad=1, groups=2),
    "3 x 3, stride 2": Convolution(3, 16, 3, stride=2, pad=1),
    "3 x 3, stride 2, no padding": Convolution(16, 24, 3, stride=2, width=99),
    "3 x 3, stride 3": Convolution(5, 7, 3, stride=3, pad=1),
    "3 x 3, dilated": Convolution(5, 7, 3, pad=2, dilation=2),
    "5 x 5, one channel": Convolution(1, 9, 5, pad=2),
    "5 x 5, stride 2": Convolution(6, 10, 5, stride=2, pad=2, width=96),
    "5 x 5, depthwise": Convolution(4, 4, 5, pad=2, groups=4),
    "5 x 5, depthwise, dilated": Convolution(2, 2, 5, dilation=2, groups=2, width=74),
    "3 x 3, depthwise": Convolution(4, 4, 3, pad=1, groups=4),
    "1 x 1, several images": Convolution(9, 5, 1, images=3),
    "1 x 1": Convolution(40, 33, 1),
    "1 x 1, stride 2": Convolution(24, 48, 1, stride=2),
}


def convolve(case: Convolution, maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Convolve the maps of one image by definition, in 64-bit floats."""
    padded = np.pad(maps.astype(np.float64), ((0, 0), (case.pad, case.pad), (case.pad, case.pad)))
    reach = case.dilation * (case.side - 1)
    height, width = padded.shape[1] - reach, padded.shape[2] - reach
    outputs = []
    for group, kernels in zip(np.split(padded, case.groups), np.split(weights, case.groups), strict=True):
        output = np.zeros((len(kernels), -(-height // case.stride), -(-width // case.stride)))
        for y, x in np.ndindex(case.side, case.side):
            top, left = y * case.dilation, x * case.dilation
            shifted = group[:, top : top + height : case.stride, left : left + width : case.stride]
            output += np.tensordot(kernels[:, :, y, x], shifted, 1)
        outputs.append(output)
    return np.concatenate(outputs)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_convolution_equals_its_definition(case: Convolution, threads: int) -> None:
    random = np.random.default_rng(1)
    maps = random.normal(size=(case.images, case.channels, case.height, case.width)).astype(np.float32)
    shape = (case.kernels, case.channels // case.groups, case.side, case.side)
    weights = random.normal(size=shape).astype(np.float32)
    net = CaffeNet("one", (case.width, case.height), case.channels)
    parameters = f"num_output: {case.kernels} kernel_size: {case.side} stride: {case.stride} pad: {case.pad} "
    parameters += f"dilation: {case.dilation} group: {case.groups} bias_term: false"
    net.add("Convolution", "maps", ["data"], f"convolution_param {{ {parameters} }}", [weights])
    files = (np.frombuffer(content, np.uint8) for content in (net.prototxt(), net.caffemodel(half=False)))
    reader = cv2.dnn.readNetFromCaffe(*files)
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        reader.setInput(maps)
        found = reader.forward()
    finally:
        cv2.setNumThreads(before)

    expected = np.stack([convolve(case, each, weights) for each in maps])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
