"""Shared by all wrappers of a `cv2.dnn.Net`: reading a net from verified bytes, and its input."""

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.nets.caffe_layers import use_fast_layers
from visage.packs.pack import NetSpec

# Largest size of the weights in bytes for which Winograd's transform is used. It needs up to seven times their memory.
# The detector of `compact` (0.8 MB) takes two thirds of the time with it, its net of gender and age (0.9 MB) half. One
# of res10's size (5 MB) gains nothing, and two workers use 65 MB more (docs/decisions.md).
_MAX_WINOGRAD_WEIGHTS = 3_000_000


def read_net(spec: NetSpec, prototxt: bytes) -> cv2.dnn.Net:
    """Build a net from `prototxt` and the verified weights of `spec`.

    OpenCV reads the bytes that were verified, not the files, which may change in between.

    Raises:
        PackError: the weights are missing or altered, or OpenCV cannot read the net.
    """
    weights = np.frombuffer(spec.weights.read(), np.uint8)
    try:
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(use_fast_layers(prototxt), np.uint8), weights)
    except cv2.error as error:
        raise PackError(f"OpenCV cannot read {spec.prototxt.path} with {spec.weights.path}: {error.err}.") from None
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.enableWinograd(useWinograd=len(weights) <= _MAX_WINOGRAD_WEIGHTS)
    return net


def to_blob(pixels: NDArray[np.uint8], spec: NetSpec) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 BGR `pixels` as (1, 3, h, w) uint8, in the channel order that the net takes."""
    blob = np.empty((1, 3, *pixels.shape[:2]), np.uint8)
    # cv2.split writes into the planes of `blob`; blobFromImage takes three times as long.
    cv2.split(pixels, list(blob[0, ::-1] if spec.swap_rb else blob[0]))
    return blob


def set_input(net: cv2.dnn.Net, blob: NDArray[np.uint8], spec: NetSpec) -> None:
    """Set the input of `net` to `(blob - mean) * scale`."""
    # The net subtracts the mean itself: the same values as from blobFromImage in half the time, without two float
    # copies.
    net.setInput(blob, scalefactor=spec.scale, mean=spec.mean)
