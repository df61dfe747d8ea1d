"""Replaced layers give the same results as OpenCV's, and other layers are not replaced."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training.caffe import CaffeNet
from visage.faces.analyzer import AnalyzeOptions, Analyzer
from visage.faces.face import Face
from visage.images.decoding import decode, inspect
from visage.nets.caffe_layers import use_fast_layers
from visage.packs.pack import read_pack
from visage.timings import Timings

# For these maps OpenCV's LRN differs from 64-bit floats by up to 1.7e-5, ours by 2e-6.
TOLERANCE = 5e-5

LRN = "lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} }}"
NORMALIZE = "norm_param { across_spatial: false channel_shared: false }"


def maps(channels: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, (2, channels, 9, 13)).astype(np.float32)


def outputs(net: CaffeNet, prototxt: bytes, blob: NDArray[np.float32], layer: str | None = None) -> NDArray[np.float32]:
    files = (np.frombuffer(content, np.uint8) for content in (prototxt, net.caffemodel(half=False)))
    reader = cv2.dnn.readNetFromCaffe(*files)
    reader.setInput(blob)
    output = reader.forward() if layer is None else reader.forward(layer)
    return output.copy().astype(np.float32, copy=False)


def net_of(channels: int, kind: str, parameters: str, blobs: list[NDArray[np.float32]] | None = None) -> CaffeNet:
    """Return a net with the layer under test after a convolution with `channels` maps."""
    kernel = np.random.default_rng(1).normal(0, 1, (channels, channels, 1, 1)).astype(np.float32)
    net = CaffeNet("one_layer", (13, 9))
    weights = [kernel, np.zeros(channels, np.float32)]
    net.add("Convolution", "mixed", ["data"], f"convolution_param {{ num_output: {channels} kernel_size: 1 }}", weights)
    net.add(kind, "layer", ["mixed"], parameters, blobs)
    return net


def test_parameters_with_common_defaults_may_be_missing() -> None:
    net = net_of(8, "LRN", "lrn_param { alpha: 0.5 }")
    assert b'"VisageLRN"' in use_fast_layers(net.prototxt())

    found = outputs(net, use_fast_layers(net.prototxt()), maps(8))

    np.testing.assert_allclose(found, outputs(net, net.prototxt(), maps(8)), rtol=1e-5, atol=TOLERANCE)


@pytest.mark.parametrize(("size", "alpha", "beta"), [(5, 1e-4, 0.75), (5, 0.5, 0.75), (3, 0.5, 0.6)])
@pytest.mark.parametrize("channels", [3, 96])
def test_local_response_norm_equals_opencv(channels: int, size: int, alpha: float, beta: float) -> None:
    net = net_of(channels, "LRN", LRN.format(size=size, alpha=alpha, beta=beta))
    fast = use_fast_layers(net.prototxt())
    assert b'"VisageLRN"' in fast

    found = outputs(net, fast, maps(channels))

    np.testing.assert_allclose(found, outputs(net, net.prototxt(), maps(channels)), rtol=1e-5, atol=TOLERANCE)


@pytest.mark.parametrize("channels", [3, 256])
def test_channel_norm_equals_opencv(channels: int) -> None:
    weights = np.random.default_rng(2).uniform(1, 30, channels).astype(np.float32)
    net = net_of(channels, "Normalize", NORMALIZE, [weights])
    fast = use_fast_layers(net.prototxt())
    assert b'"VisageNormalize"' in fast

    found = outputs(net, fast, maps(channels))

    np.testing.assert_allclose(found, outputs(net, net.prototxt(), maps(channels)), rtol=1e-5, atol=TOLERANCE)


def test_pixels_with_zero_in_all_channels_stay_zero() -> None:
    net = net_of(3, "Normalize", NORMALIZE, [np.ones(3, np.float32)])

    found = outputs(net, use_fast_layers(net.prototxt()), np.zeros((1, 3, 9, 13), np.float32))

    assert not found.any()


@pytest.mark.parametrize(
    "layer",
    [
        'type: "LRN" lrn_param { local_size: 5 alpha: 0.1 norm_region: WITHIN_CHANNEL }',
        'type: "LRN" lrn_param { local_size: 5 alpha: 0.1 norm_region: 1 }',
        'type: "LRN" lrn_param { local_size: 4 alpha: 0.1 }',
        'type: "LRN" lrn_param { local_size: 5 alpha: 0.1 k: 2 }',
        'type: "LRN" lrn_param { local_size: 5 }',
        'type: "LRN"',
        'type: "Normalize" norm_param { across_spatial: true }',
        'type: "Normalize" norm_param { across_spatial: 1 }',
        'type: "Normalize" norm_param { scale_filler { value: 20 } }',
        'type: "Pooling"',
        'name: "LRN" type: "ReLU"',
    ],
)
def test_layers_with_other_parameters_are_not_replaced(layer: str) -> None:
    prototxt = f"layer {{ {layer} }}".encode()

    assert use_fast_layers(prototxt) == prototxt


def faces_of(pack: Path, data: bytes) -> tuple[Face, ...]:
    pixels = decode(data, inspect(data, 50_000_000))
    return Analyzer(read_pack(pack)).analyze(pixels, AnalyzeOptions(), Timings())


def test_faces_in_real_photos_are_the_same_without_replaced_layers(
    reference_pack: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for photo in sorted(photos.glob("*.jpg")):
        fast = faces_of(reference_pack, photo.read_bytes())
        with monkeypatch.context() as plain_layers:
            plain_layers.setattr("visage.nets.net.use_fast_layers", lambda prototxt: prototxt)
            plain = faces_of(reference_pack, photo.read_bytes())

        assert [face.box for face in fast] == [face.box for face in plain] != []
        for ours, theirs in zip(fast, plain, strict=True):
            assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-5)
            assert ours.age_probabilities == pytest.approx(theirs.age_probabilities, abs=1e-5)
