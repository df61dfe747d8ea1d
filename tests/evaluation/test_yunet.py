"""YuNet is scored beside packs, on the same photos and in the same run."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import SHARED
from visage.errors import PackError
from visage.evaluation.evaluation import Evaluation, evaluate
from visage.evaluation.labels import LabelledFace, LabelledPhoto
from visage.evaluation.scores import detection_breakdown, detection_table, table
from visage.evaluation.yunet import MIN_CONFIDENCE, YuNet
from visage.faces.search import Detail
from visage.packs.pack import find_pack

# The face in the photo of the astronaut, as `compact` finds it.
ASTRONAUT = (177, 62, 269, 174)


@pytest.fixture(scope="module")
def net() -> Path:
    """The ONNX file, beside the repo. Without it, these tests are skipped."""
    path = SHARED / "packs" / "teachers" / "yunet_2023mar.onnx"
    if not path.is_file():
        pytest.skip("needs YuNet in ../shared/packs/teachers")
    return path


@pytest.fixture
def side_by_side(net: Path, astronaut: NDArray[np.uint8], tmp_path: Path) -> list[Evaluation]:
    """`compact` and YuNet on a photo with one face, and a label where nobody is."""
    path = tmp_path / "astronaut.png"
    cv2.imwrite(str(path), astronaut)
    faces = [
        LabelledFace(np.array(box, np.float32), "Female", (30, 39), difficult=False, groups={"list": value})
        for box, value in ((ASTRONAUT, "1"), ((400, 400, 440, 450), "0"))
    ]
    return evaluate([find_pack("compact")], [LabelledPhoto(path, tuple(faces))], Detail.FAST, yunet=YuNet(net, 320))


def test_yunet_has_a_column_beside_the_packs_without_gender_and_age(side_by_side: list[Evaluation]) -> None:
    lines = table(side_by_side).splitlines()

    assert lines[0] == "|  | compact 7 | yunet_2023mar at 320 |"
    assert "| faces found | 1 of 2 | 1 of 2 |" in lines
    assert "| false positives | 0 | 0 |" in lines
    assert "| gender correct, detected boxes | 50.0% |  |" in lines
    assert not [line for line in lines if line.startswith("| detection, ms") and line.endswith("|  |")]


def test_average_precision_is_that_of_both(side_by_side: list[Evaluation]) -> None:
    lines = detection_table(side_by_side, ["list"], 10).splitlines()

    assert "| average precision, all faces | 0.500 | 0.500 |" in lines
    assert "| average precision, list | 1.000 | 1.000 |" in lines


def test_breakdowns_count_the_labels_of_faces_that_yunet_cannot_classify(side_by_side: list[Evaluation]) -> None:
    (_, _, row) = detection_breakdown(side_by_side, "gender", 10).splitlines()

    assert row == "| Female | 2 | 50.0% | 0.500 | 50.0% | 50.0% | 0.500 | 50.0% |"


@pytest.mark.parametrize("scale", [0.5, 1, 2.5])
def test_boxes_are_in_pixels_of_the_photo(net: Path, astronaut: NDArray[np.uint8], scale: float) -> None:
    photo = cv2.resize(astronaut, None, fx=scale, fy=scale).astype(np.uint8, copy=False)

    found = YuNet(net, 320).detect(photo)

    (box,) = found.boxes[found.confidences >= MIN_CONFIDENCE]
    np.testing.assert_allclose(box / scale, ASTRONAUT, atol=12)


def test_a_photo_without_faces_gives_empty_arrays(net: Path) -> None:
    found = YuNet(net, 320).detect(np.full((240, 320, 3), 127, np.uint8))

    assert found.select(found.confidences >= MIN_CONFIDENCE).boxes.shape == (0, 4)


def test_a_file_that_is_not_yunet_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no net")

    with pytest.raises(PackError, match=r"net\.onnx cannot be used as YuNet"):
        YuNet(path, 320)
