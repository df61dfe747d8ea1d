"""The face net starts as YuNet: the same faces, although it has other layers.

Needs torch and onnx (training/requirements.txt), and YuNet's file.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")
pytest.importorskip("onnx", reason="needs onnx: make test-training installs it")

from tests.support.paths import ROOT, SHARED  # noqa: E402
from training.attributes import to_tensor  # noqa: E402
from training.detection import net  # noqa: E402
from training.detection.yunet import start_from_yunet  # noqa: E402
from visage.images.boxes import intersection_over_union  # noqa: E402


@pytest.fixture
def yunet() -> Path:
    path = SHARED / "packs" / "teachers" / "yunet_2023mar.onnx"
    if not path.exists():
        pytest.skip("needs YuNet's ONNX file")
    return path


def read_astronaut() -> NDArray[np.uint8]:
    """512 x 512 pixels, BGR."""
    return np.asarray(cv2.imread(str(ROOT / "docs" / "astronaut.jpg")), np.uint8)


def test_the_best_box_and_landmarks_are_those_of_yunet(yunet: Path) -> None:
    photo = read_astronaut()
    height, width = photo.shape[:2]
    face_net = net.FaceNet(net.LARGE)

    start_from_yunet(face_net, yunet)

    with torch.no_grad():
        logits, boxes, landmarks = net.flatten(face_net.eval()(to_tensor(photo[None])))
    grid = net.cells(height, width)
    best = int(logits[0].argmax())
    found = net.decode_boxes(boxes[0], *grid)[best].numpy()
    points = net.decode_landmarks(landmarks[0], *grid)[best].numpy()
    (theirs,) = np.asarray(cv2.FaceDetectorYN.create(str(yunet), "", (width, height), 0.8).detect(photo)[1])
    box = np.hstack([theirs[:2], theirs[:2] + theirs[2:4]])
    # YuNet's best box may be that of the cell beside ours.
    assert intersection_over_union(found[None], box[None]) > 0.9
    assert np.abs(points - theirs[4:14].reshape(5, 2)).max() < 0.05 * theirs[2]


def test_scores_are_the_mean_of_both_logits_of_yunet(yunet: Path) -> None:
    """Nearly: beyond the border YuNet sees black, our net the mean, and that reaches far through the coarse maps."""
    photo = read_astronaut()
    face_net = net.FaceNet(net.LARGE)

    start_from_yunet(face_net, yunet)

    with torch.no_grad():
        maps = face_net.eval()(to_tensor(photo[None]))
    reader = cv2.dnn.readNet(str(yunet))
    reader.setInput(cv2.dnn.blobFromImage(photo))
    for index, stride in enumerate(net.STRIDES):
        both = [reader.forward(f"{kind}_{stride}").reshape(512 // stride, -1) for kind in ("cls", "obj")]
        logits = sum(np.log(each / (1 - each)) for each in both) / 2
        sure = np.abs(logits) < 6
        difference = np.abs(maps[3 * index][0, 0].numpy() - logits)[sure]
        assert sure.any()
        assert np.median(difference) < 0.25


def test_another_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"other")

    with pytest.raises(ValueError, match="SHA-256"):
        start_from_yunet(net.FaceNet(net.LARGE), path)
