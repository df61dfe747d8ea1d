"""What every wrapper of a `cv2.dnn.Net` shares: reading it from verified bytes, and feeding it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.caffe_layers import use_fast_layers
from visage.packs.pack import NetSpec

# Bytes of weights up to which Winograd's transform of them, seven times as large, is worth its memory: compact's face
# net (1.2 MB) takes a third less time with it, one of res10's size (5 MB) no less, and two workers with that then hold
# 65 MB more (benchmarks/README.md).
_MOST_FOR_WINOGRAD = 3_000_000


def as_blob(picture: NDArray[np.uint8], spec: NetSpec) -> NDArray[np.uint8]:
    """(h, w, 3) as (1, 3, h, w), in the order of channels that the net takes."""
    blob = np.empty((1, 3, *picture.shape[:2]), np.uint8)
    # Into these very planes, as they have the size and type of the picture's; blobFromImage takes three times as long.
    cv2.split(picture, list(blob[0, ::-1] if spec.swap_rb else blob[0]))
    return blob


def feed(net: cv2.dnn.Net, blob: NDArray[np.uint8], spec: NetSpec) -> None:
    # The net takes off the mean itself: the same values as of blobFromImage, in half the time and in no memory of ours,
    # where that took two floats a value (benchmarks/README.md).
    net.setInput(blob, scalefactor=spec.scale, mean=spec.mean)


def read_net(spec: NetSpec, prototxt: bytes) -> cv2.dnn.Net:
    """Build a net from verified bytes: what was checked is what OpenCV reads, whatever happens to the files."""
    weights = np.frombuffer(spec.weights.read(), np.uint8)
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(use_fast_layers(prototxt), np.uint8), weights)
    except cv2.error as error:
        raise PackError(f"OpenCV cannot read {spec.prototxt.path} with {spec.weights.path}: {error.err}.") from None
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.enableWinograd(useWinograd=len(weights) <= _MOST_FOR_WINOGRAD)
    return net
