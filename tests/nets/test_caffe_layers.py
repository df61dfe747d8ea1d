"""The layers that Visage runs itself answer as OpenCV's own do, and are taken where they are known to."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import photos
from tests.support.paths import ROOT
from training.caffe import CaffeNet, Level, add_detection
from visage.faces.analyzer import Analyzer, Options
from visage.faces.face import Face
from visage.images.decoding import decode, inspect
from visage.nets.caffe_layers import DetectionOutput, use_fast_layers
from visage.packs.pack import read_pack
from visage.timings import Timings

# OpenCV's own LRN is up to 1.7e-5 from what 64-bit floats give for these maps, ours 2e-6.
TOLERANCE = 5e-5

LRN = "lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} }}"
NORMALIZE = "norm_param { across_spatial: false channel_shared: false }"


OUTPUT = (
    "num_classes: 2 share_location: true background_label_id: 0 nms_param { nms_threshold: 0.45 top_k: 9 } "
    "code_type: CENTER_SIZE keep_top_k: 6 confidence_threshold: 0.3"
)


def maps(channels: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, (2, channels, 9, 13)).astype(np.float32)


def answers(net: CaffeNet, prototxt: bytes, blob: NDArray[np.float32], layer: str | None = None) -> NDArray[np.float32]:
    files = (np.frombuffer(content, np.uint8) for content in (prototxt, net.caffemodel(half=False)))
    reader = cv2.dnn.readNetFromCaffe(*files)
    reader.setInput(blob)
    answer = reader.forward() if layer is None else reader.forward(layer)
    return answer.copy().astype(np.float32, copy=False)


def net_of(channels: int, kind: str, parameters: str, blobs: list[NDArray[np.float32]] | None = None) -> CaffeNet:
    """A net of three channels and more: the layer under test behind a convolution that gives it `channels` maps."""
    kernel = np.random.default_rng(1).normal(0, 1, (channels, channels, 1, 1)).astype(np.float32)
    net = CaffeNet("one_layer", (13, 9))
    weights = [kernel, np.zeros(channels, np.float32)]
    net.add("Convolution", "mixed", ["data"], f"convolution_param {{ num_output: {channels} kernel_size: 1 }}", weights)
    net.add(kind, "layer", ["mixed"], parameters, blobs)
    return net


def test_defaults_that_both_share_may_be_left_out() -> None:
    net = net_of(8, "LRN", "lrn_param { alpha: 0.5 }")
    assert b'"VisageLRN"' in use_fast_layers(net.prototxt())

    found = answers(net, use_fast_layers(net.prototxt()), maps(8))

    np.testing.assert_allclose(found, answers(net, net.prototxt(), maps(8)), rtol=1e-5, atol=TOLERANCE)


@pytest.mark.parametrize(("size", "alpha", "beta"), [(5, 1e-4, 0.75), (5, 0.5, 0.75), (3, 0.5, 0.6)])
@pytest.mark.parametrize("channels", [3, 96])
def test_local_response_norm_answers_as_opencv_does(channels: int, size: int, alpha: float, beta: float) -> None:
    net = net_of(channels, "LRN", LRN.format(size=size, alpha=alpha, beta=beta))
    fast = use_fast_layers(net.prototxt())
    assert b'"VisageLRN"' in fast

    found = answers(net, fast, maps(channels))

    np.testing.assert_allclose(found, answers(net, net.prototxt(), maps(channels)), rtol=1e-5, atol=TOLERANCE)


@pytest.mark.parametrize("channels", [3, 256])
def test_channel_norm_answers_as_opencv_does(channels: int) -> None:
    weights = np.random.default_rng(2).uniform(1, 30, channels).astype(np.float32)
    net = net_of(channels, "Normalize", NORMALIZE, [weights])
    fast = use_fast_layers(net.prototxt())
    assert b'"VisageNormalize"' in fast

    found = answers(net, fast, maps(channels))

    np.testing.assert_allclose(found, answers(net, net.prototxt(), maps(channels)), rtol=1e-5, atol=TOLERANCE)


def test_places_where_all_is_zero_stay_zero() -> None:
    net = net_of(3, "Normalize", NORMALIZE, [np.ones(3, np.float32)])

    found = answers(net, use_fast_layers(net.prototxt()), np.zeros((1, 3, 9, 13), np.float32))

    assert not found.any()


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_those_that_opencv_makes(seed: int) -> None:
    """Of 24 cells; the limits are so low that each of them is reached now and then."""
    random = np.random.default_rng(seed)
    net = CaffeNet("boxes", (12, 2))
    for name, channels in (("told", 2), ("moved", 4)):
        weights = [random.normal(0, 1, (channels, 3, 1, 1)).astype(np.float32), np.zeros(channels, np.float32)]
        net.add(
            "Convolution", name, ["data"], f"convolution_param {{ num_output: {channels} kernel_size: 1 }}", weights
        )
    add_detection(net, [Level("priors_of_cells", "told", "moved", "min_size: 2", 1)])
    net.layers[-1] = re.sub(r"detection_output_param .*", f"detection_output_param {{ {OUTPUT} }} }}", net.layers[-1])
    blob = random.normal(0, 1, (1, 3, 2, 12)).astype(np.float32)
    output = DetectionOutput.from_prototxt(net.prototxt())
    assert output
    assert output.bottoms == ("offsets", "confidences", "priors")

    ours = output.forward(*(answers(net, net.prototxt(), blob, layer) for layer in output.bottoms))[0, 0]

    theirs = answers(net, net.prototxt(), blob)[0, 0]
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
def test_layers_of_other_kinds_stay_with_opencv(layer: str) -> None:
    prototxt = f"layer {{ {layer} }}".encode()

    assert use_fast_layers(prototxt) == prototxt
    assert DetectionOutput.from_prototxt(prototxt) is None


@pytest.mark.parametrize(
    "written", [OUTPUT, OUTPUT.replace(" }", "}"), OUTPUT.replace(": 9", ": 9,"), OUTPUT.replace(": ", " :")]
)
def test_boxes_are_ours_however_their_layer_is_written(written: str) -> None:
    layer = f'type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "c" detection_output_param {{ {written} }}'

    output = DetectionOutput.from_prototxt(f"layer {{ {layer} }}".encode())

    assert output == DetectionOutput(("a", "b", "c"), 0.3, 0.45, 9, 6)


def faces_of(pack: Path, data: bytes) -> tuple[Face, ...]:
    pixels = decode(data, inspect(data, 50_000_000))
    return Analyzer(read_pack(pack)).analyze(pixels, Options(), Timings())


def assert_faces_are_those_of_the_plain_layers(
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


def test_faces_of_the_compact_pack_are_those_of_the_plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [photos.jpeg(photos.portrait()), photos.jpeg(photos.two_faces()), photos.jpeg(photos.crowd(30))]

    assert_faces_are_those_of_the_plain_layers(ROOT / "models" / "compact", own, monkeypatch)


@pytest.mark.parametrize("pack", ["reference", "compact"])
def test_faces_in_real_photos_are_those_of_the_plain_layers(
    pack: str, reference_pack: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = reference_pack if pack == "reference" else ROOT / "models" / "compact"
    real = [photo.read_bytes() for photo in sorted(photos.glob("*.jpg"))]

    assert_faces_are_those_of_the_plain_layers(folder, real, monkeypatch)
