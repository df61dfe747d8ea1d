"""Replaced layers give the same results as OpenCV's, and other layers are not replaced."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.support.ssd import Level, add_detection
from tests.support.pictures import encode
from tests.support.tiny_pack import TINY_FACES, draw
from training.caffe import CaffeNet
from visage.faces.analyzer import Analyzer, Options
from visage.faces.face import Face
from visage.images.decoding import decode, inspect
from visage.nets.caffe_layers import DetectionOutput, use_fast_layers
from visage.packs.pack import read_pack
from visage.timings import Timings

# For these maps OpenCV's LRN differs from 64-bit floats by up to 1.7e-5, ours by 2e-6.
TOLERANCE = 5e-5

LRN = "lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} }}"
NORMALIZE = "norm_param { across_spatial: false channel_shared: false }"


OUTPUT = (
    "num_classes: 2 share_location: true background_label_id: 0 nms_param { nms_threshold: 0.45 top_k: 9 } "
    "code_type: CENTER_SIZE keep_top_k: 6 confidence_threshold: 0.3"
)


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


@pytest.mark.parametrize("seed", range(20))
def test_detection_output_equals_opencv(seed: int) -> None:
    """The net has 24 cells. The limits are low, so that some of the seeds reach each."""
    random = np.random.default_rng(seed)
    net = CaffeNet("boxes", (12, 2))
    for name, channels in (("scores", 2), ("regressions", 4)):
        weights = [random.normal(0, 1, (channels, 3, 1, 1)).astype(np.float32), np.zeros(channels, np.float32)]
        net.add(
            "Convolution", name, ["data"], f"convolution_param {{ num_output: {channels} kernel_size: 1 }}", weights
        )
    add_detection(net, [Level("priors_of_cells", "scores", "regressions", "min_size: 2", 1)])
    net.layers[-1] = re.sub(r"detection_output_param .*", f"detection_output_param {{ {OUTPUT} }} }}", net.layers[-1])
    blob = random.normal(0, 1, (1, 3, 2, 12)).astype(np.float32)
    output = DetectionOutput.from_prototxt(net.prototxt())
    assert output
    assert output.bottoms == ("offsets", "confidences", "priors")

    ours = output.forward(*(outputs(net, net.prototxt(), blob, layer) for layer in output.bottoms))[0, 0]

    theirs = outputs(net, net.prototxt(), blob)[0, 0]
    assert 0 < len(ours) <= 6
    np.testing.assert_allclose(ours, theirs[theirs[:, 2] > 0], atol=1e-5)


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
        'type: "DetectionOutput"',
        'type: "DetectionOutput" detection_output_param { num_classes: 2 }',
        *(
            f'type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "c" '
            f"detection_output_param {{ {OUTPUT.replace(*change)} }}"
            for change in (
                ("num_classes: 2", "num_classes: 3"),
                ("share_location: true", "share_location: false"),
                ("label_id: 0", "label_id: 1"),
                ("CENTER_SIZE", "CORNER"),
                ("top_k: 9", "top_k: 9 eta: 0.9"),
                ("top_k: 9", "top_k: 9 top_k: 8"),
                ("keep_top_k: 6", ""),
                ("keep_top_k: 6", "keep_top_k: -1"),
                ("threshold: 0.3", "threshold: 0.3f"),
            )
        ),
        'type: "Pooling"',
        'name: "LRN" type: "ReLU"',
    ],
)
def test_layers_with_other_parameters_are_not_replaced(layer: str) -> None:
    prototxt = f"layer {{ {layer} }}".encode()

    assert use_fast_layers(prototxt) == prototxt
    assert DetectionOutput.from_prototxt(prototxt) is None


@pytest.mark.parametrize(
    "parameters", [OUTPUT, OUTPUT.replace(" }", "}"), OUTPUT.replace(": 9", ": 9,"), OUTPUT.replace(": ", " :")]
)
def test_detection_output_is_replaced_in_any_notation(parameters: str) -> None:
    layer = f'type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "c" detection_output_param {{ {parameters} }}'

    output = DetectionOutput.from_prototxt(f"layer {{ {layer} }}".encode())

    assert output == DetectionOutput(("a", "b", "c"), 0.3, 0.45, 9, 6)


def faces_of(pack: Path, data: bytes) -> tuple[Face, ...]:
    pixels = decode(data, inspect(data, 50_000_000))
    return Analyzer(read_pack(pack)).analyze(pixels, Options(), Timings())


def assert_faces_are_the_same_without_replaced_layers(
    pack: Path, photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DetectionOutput.from_prototxt((pack / "face.prototxt").read_bytes())
    for photo in photos:
        fast = faces_of(pack, photo)
        with monkeypatch.context() as plain_layers:
            plain_layers.setattr("visage.nets.net.use_fast_layers", lambda prototxt: prototxt)
            plain_layers.setattr("visage.nets.detector.DetectionOutput.from_prototxt", lambda _prototxt: None)
            plain = faces_of(pack, photo)

        assert [face.box for face in fast] == [face.box for face in plain] != []
        for ours, theirs in zip(fast, plain, strict=True):
            assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-5)
            assert ours.age_probabilities == pytest.approx(theirs.age_probabilities, abs=1e-5)


def test_faces_of_an_ssd_are_the_same_without_replaced_layers(tiny_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_faces_are_the_same_without_replaced_layers(tiny_pack, [encode(draw(faces=TINY_FACES), "PNG")], monkeypatch)


def test_faces_in_real_photos_are_the_same_without_replaced_layers(
    reference_pack: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = [photo.read_bytes() for photo in sorted(photos.glob("*.jpg"))]

    assert_faces_are_the_same_without_replaced_layers(reference_pack, real, monkeypatch)
