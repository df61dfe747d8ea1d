"""Convolutions of the OpenCV that is installed are what they are defined as, whichever way it takes.

It has ways of its own for 3 x 3, for one kernel a channel and for the rest, and docker/opencv.patch changes them all.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.caffe import CaffeNet

# Of the largest value. Winograd's way with 3 x 3 loses digits.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Convolution:
    """What a convolution is given. With as many groups as channels, each channel has a kernel of its own."""

    channels: int
    kernels: int
    side: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    groups: int = 1
    pictures: int = 1
    width: int = 150
    height: int = 41


CASES = {
    "3 x 3": Convolution(24, 24, 3, pad=1),
    "3 x 3 of one channel to an odd number": Convolution(1, 9, 3, pad=1),
    "3 x 3 of more channels than fit into a cache at once": Convolution(120, 6, 3, pad=1),
    "3 x 3 of fewer places than are done at a time": Convolution(17, 5, 3, width=9, height=8),
    "3 x 3 of several pictures": Convolution(7, 5, 3, pad=1, pictures=3),
    "3 x 3 in groups": Convolution(8, 12, 3, pad=1, groups=2),
    "3 x 3, every other place": Convolution(3, 16, 3, stride=2, pad=1),
    "3 x 3, every other place, from an odd one on": Convolution(16, 24, 3, stride=2, width=99),
    "3 x 3, every third place": Convolution(5, 7, 3, stride=3, pad=1),
    "3 x 3, apart": Convolution(5, 7, 3, pad=2, dilation=2),
    "5 x 5 of one channel": Convolution(1, 9, 5, pad=2),
    "5 x 5, every other place": Convolution(6, 10, 5, stride=2, pad=2, width=96),
    "5 x 5, a kernel a channel": Convolution(4, 4, 5, pad=2, groups=4),
    "5 x 5, a kernel a channel, apart": Convolution(2, 2, 5, dilation=2, groups=2, width=74),
    "3 x 3, a kernel a channel": Convolution(4, 4, 3, pad=1, groups=4),
    "1 x 1 of several pictures": Convolution(9, 5, 1, pictures=3),
    "1 x 1": Convolution(40, 33, 1),
    "1 x 1, every other place": Convolution(24, 48, 1, stride=2),
}


def defined(case: Convolution, maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of the maps of one picture."""
    padded = np.pad(maps.astype(np.float64), ((0, 0), (case.pad, case.pad), (case.pad, case.pad)))
    reach = case.dilation * (case.side - 1)
    height, width = padded.shape[1] - reach, padded.shape[2] - reach
    answers = []
    for own, kernels in zip(np.split(padded, case.groups), np.split(weights, case.groups), strict=True):
        answer = np.zeros((len(kernels), -(-height // case.stride), -(-width // case.stride)))
        for y, x in np.ndindex(case.side, case.side):
            top, left = y * case.dilation, x * case.dilation
            seen = own[:, top : top + height : case.stride, left : left + width : case.stride]
            answer += np.tensordot(kernels[:, :, y, x], seen, 1)
        answers.append(answer)
    return np.concatenate(answers)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_convolution_is_what_it_is_defined_as(case: Convolution, threads: int) -> None:
    random = np.random.default_rng(1)
    maps = random.normal(size=(case.pictures, case.channels, case.height, case.width)).astype(np.float32)
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

    expected = np.stack([defined(case, each, weights) for each in maps])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
