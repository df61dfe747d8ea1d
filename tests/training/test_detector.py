"""The SSD face detector: targets, decoding, export, and a start from the weights of a pack.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from tests.support.paths import ROOT  # noqa: E402
from tests.training.torch_nets import random_images, randomize_batch_norms, read_net  # noqa: E402
from training import caffe, detector, models, tracing  # noqa: E402
from training.scenes import Sample  # noqa: E402

TOLERANCE = 1e-4
COMPACT = ROOT / "models" / "compact"


@pytest.mark.parametrize(("height", "width"), [(320, 320), (275, 410), (97, 33)])
def test_cv2_returns_what_torch_returns_at_any_size(height: int, width: int) -> None:
    torch.manual_seed(3)
    model = models.FaceNet()
    randomize_batch_norms(model)
    image = random_images(1, height, width)
    net, outputs = tracing.trace(model, "face", (width, height))
    tracing.add_detection(net, outputs)
    reader = read_net(net, half=False)
    reader.setInput(image)

    confidences, offsets, priors = (reader.forward(name).copy() for name in ("confidences", "offsets", "priors"))

    with torch.no_grad():
        logits, expected_offsets = detector.flatten(model(torch.from_numpy(image)))
    np.testing.assert_allclose(confidences.reshape(-1, 2), logits[0].softmax(1), atol=TOLERANCE)
    assert np.ptp(confidences) > 0.1, "equal confidences everywhere prove nothing"
    np.testing.assert_allclose(offsets.reshape(-1, 4), expected_offsets[0], atol=TOLERANCE)
    ours = detector.priors(height, width)
    corners = np.concatenate([ours[:, :2] - ours[:, 2:] / 2, ours[:, :2] + ours[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(priors[0, 0].reshape(-1, 4), corners / [width, height, width, height], atol=1e-6)


def test_cv2_decodes_the_targets_of_training_into_the_ground_truth() -> None:
    """The last layer of the exported net gets the targets as its input."""
    prior_boxes = detector.priors(320, 320)
    faces = np.array([[20, 30, 50, 70], [150, 100, 290, 280], [200, 10, 216, 30]], np.float32)
    sample = Sample(np.zeros((320, 320, 3), np.uint8), faces, np.empty((0, 4), np.float32))
    labels, offsets = detector.targets(sample, prior_boxes)
    net, outputs = tracing.trace(models.FaceNet(), "face", (320, 320))
    tracing.add_detection(net, outputs)
    blobs = {
        "offsets": offsets.reshape(1, -1),
        "confidences": np.stack([labels != 1, labels == 1], axis=1).astype(np.float32).reshape(1, -1),
        "priors": prior_blob(net),
    }
    inputs = "".join(
        f'input: "{name}" input_shape {{ {" ".join(f"dim: {side}" for side in blob.shape)} }}\n'
        for name, blob in blobs.items()
    )
    last_layer = cv2.dnn.readNetFromCaffe(np.frombuffer((inputs + net.layers[-1]).encode(), np.uint8))
    for name, blob in blobs.items():
        last_layer.setInput(blob, name)

    rows = last_layer.forward()[0, 0]

    rows = rows[rows[:, 2] > 0]
    assert len(rows) == len(faces)
    found = rows[np.argsort(rows[:, 3]), 3:7] * 320
    np.testing.assert_allclose(found, faces[np.argsort(faces[:, 0])], atol=0.1)


def prior_blob(net: caffe.CaffeNet) -> NDArray[np.float32]:
    """Return the priors of an exported detector, an input of its last layer."""
    reader = read_net(net, half=False)
    reader.setInput(np.zeros((1, 3, net.input[1], net.input[0]), np.float32))
    return np.array(reader.forward("priors"), np.float32)


def test_difficult_boxes_do_not_count_in_the_loss() -> None:
    difficult = np.array([[100, 100, 140, 150]], np.float32)
    sample = Sample(np.zeros((320, 320, 3), np.uint8), np.empty((0, 4), np.float32), difficult)

    labels, _ = detector.targets(sample, detector.priors(320, 320))

    assert set(labels) == {0, -1}


def test_the_detector_starts_with_the_confidences_of_the_pack() -> None:
    image = torch.from_numpy(random_images(1, 96, 160))
    net = models.FaceNet()

    detector.load_pack(net, COMPACT, image)

    reader = caffe.read(COMPACT, "face")
    reader.setInput(image.numpy())
    with torch.no_grad():
        logits, _ = detector.flatten(net(image))
    logits[..., 1] -= detector.RAW_LOGIT
    expected = logits.softmax(2).numpy()
    np.testing.assert_allclose(reader.forward("confidences").ravel(), expected.ravel(), atol=TOLERANCE)
