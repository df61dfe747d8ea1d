"""Evaluating a pack: every figure follows from predictions that can be counted by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.pictures import as_stored, encode, exif, with_exif
from tests.support.tiny_pack import BLUISH, REDDISH, draw
from visage.errors import LabelsError, PackError
from visage.evaluation.evaluation import Evaluation, evaluate, match
from visage.evaluation.labels import LabelledFace, LabelledPhoto
from visage.evaluation.scores import breakdown, score, table
from visage.faces.analyzer import Analyzer
from visage.faces.face import Face
from visage.faces.search import Detail
from visage.packs.pack import read_pack

# The tiny age net predicts 0 to 9 years for a square that is bright in red and blue.
WHITE = (255, 255, 255)

# The tiny nets predict a woman for a reddish square and a man for a bluish one, both of 10 to 49 years with 0.56.
WOMAN, MAN, NOBODY = (48, 48, 144, 144), (240, 176, 336, 272), (240, 16, 336, 112)


def labelled(
    box: tuple[float, float, float, float],
    gender: str | None = None,
    age: tuple[int, int] | None = None,
    difficult: bool = False,
) -> LabelledFace:
    return LabelledFace(
        np.array(box, np.float32), gender, age, difficult, {"light": "dim" if gender == "Male" else "bright"}
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An image with a woman and a man."""
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: REDDISH, MAN: BLUISH}))
    return path


def evaluate_one(tiny_pack: Path, picture: Path, *faces: LabelledFace, least_height: float = 0) -> Evaluation:
    photos = [LabelledPhoto(picture, faces)]
    (evaluation,) = evaluate([read_pack(tiny_pack)], photos, Detail.FAST, least_height)
    return evaluation


def test_faces_in_their_ground_truth_boxes_are_found(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN), labelled(MAN))

    assert (score(evaluation.on_detections).found, score(evaluation.on_detections).faces) == (2, 2)
    assert evaluation.false_positives == 0


def test_another_pack_comes_first_on_each_photo_because_the_first_one_takes_longer(
    tiny_pack: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = [replace(read_pack(tiny_pack), name=name) for name in ("first", "second")]
    turns = []

    def remember(analyzer: Analyzer, *arguments: Any, **options: Any) -> tuple[Face, ...]:
        turns.append(analyzer.pack.name)
        return describe(analyzer, *arguments, **options)

    describe = Analyzer.describe
    monkeypatch.setattr(Analyzer, "describe", remember)

    evaluations = evaluate(packs, [LabelledPhoto(picture, (labelled(WOMAN),))] * 3, Detail.FAST)

    # Each describes the labelled face and what its detector found.
    assert turns[::2] == ["first", "second", "second", "first", "first", "second"]
    assert [evaluation.name for evaluation in evaluations] == [f"{pack.name} {pack.version}" for pack in packs]


@pytest.mark.parametrize("box", [(9000, 9000, 9900, 9900), (-50, 10, 0, 60), (10, 384, 60, 400)])
def test_a_box_outside_its_photo_is_an_error(
    tiny_pack: Path, picture: Path, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(LabelsError, match=r"picture\.png has a box outside the photo of 384 x 384 pixels"):
        evaluate_one(tiny_pack, picture, labelled(WOMAN), labelled(box))


def test_a_box_is_compared_with_the_upright_photo(tiny_pack: Path, tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_exif(encode(draw(400, 200), "JPEG"), exif(6)))

    evaluation = evaluate_one(tiny_pack, path, labelled((50, 300, 100, 350)))

    assert score(evaluation.on_detections).faces == 1


def test_a_face_that_no_box_overlaps_is_missed(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN), labelled(MAN), labelled(NOBODY))

    assert (score(evaluation.on_detections).found, score(evaluation.on_detections).faces) == (2, 3)


def test_a_box_on_no_face_is_a_false_positive(tiny_pack: Path, picture: Path) -> None:
    assert evaluate_one(tiny_pack, picture, labelled(WOMAN)).false_positives == 1


def test_a_box_finds_one_face_only(tiny_pack: Path, picture: Path) -> None:
    nearly = (52, 52, 148, 148)

    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN), labelled(nearly), labelled(MAN))

    assert score(evaluation.on_detections).found == 2


@pytest.mark.parametrize(
    ("label", "found", "false_positives"),
    [
        ((48, 48, 144, 144), 1, 0),
        ((48, 48, 144, 100), 1, 0),  # intersection over union 0.54
        ((48, 48, 144, 80), 0, 0),  # 0.33: the box shows that face, but too imprecisely
        ((48, 48, 144, 72), 0, 1),  # 0.25
    ],
)
def test_a_box_finds_a_face_above_0_4_and_is_a_false_positive_below_0_3(
    tiny_pack: Path, tmp_path: Path, label: tuple[float, float, float, float], found: int, false_positives: int
) -> None:
    path = tmp_path / "woman.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: REDDISH}))

    evaluation = evaluate_one(tiny_pack, path, labelled(label))

    assert score(evaluation.on_detections).found == found
    assert evaluation.false_positives == false_positives


def test_a_second_box_on_a_face_is_a_false_positive() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 3, 10, 13]], np.float32)

    pairs, false_positives = match(boxes, boxes[:1], np.array([False]))

    assert (pairs, false_positives) == ({0: 0}, 1)


def test_a_second_box_on_a_difficult_face_is_not_a_false_positive() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 3, 10, 13]], np.float32)

    pairs, false_positives = match(boxes, boxes[:1], np.array([True]))

    assert (pairs, false_positives) == ({0: 0}, 0)


def test_a_box_is_matched_to_the_face_with_the_highest_overlap() -> None:
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    faces = np.array([[0, 4, 10, 14], [0, 1, 10, 11]], np.float32)

    assert match(boxes, faces, np.array([False, False]))[0] == {1: 0}


@pytest.mark.parametrize(("scale", "small"), [(1.0, 0), (3.0, 1)])
def test_a_face_lower_than_a_tenth_of_the_longer_side_is_small(
    tiny_pack: Path, tmp_path: Path, scale: float, small: int
) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), draw(round(384 * scale), 384, faces={WOMAN: REDDISH}))

    evaluation = evaluate_one(tiny_pack, path, labelled(WOMAN))

    assert sum(face.small for face in evaluation.on_detections) == small


def test_a_difficult_face_is_neither_missed_nor_a_false_positive(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(
        tiny_pack, picture, labelled(WOMAN), labelled(MAN, difficult=True), labelled(NOBODY, difficult=True)
    )

    assert (score(evaluation.on_detections).found, score(evaluation.on_detections).faces) == (1, 1)
    assert evaluation.false_positives == 0


def test_a_face_lower_than_the_least_height_is_ignored(tiny_pack: Path, picture: Path) -> None:
    low = (300.0, 20.0, 320.0, 39.0)

    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN), labelled(MAN), labelled(low), least_height=20)

    assert score(evaluation.on_detections).faces == 2


def test_genders_are_compared_without_case(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN, "female"), labelled(MAN, "FEMALE"))

    assert score(evaluation.on_ground_truth).gender == 0.5


@pytest.mark.parametrize(
    ("colour", "age", "correct", "within_one"),
    [
        (REDDISH, (10, 49), 1, 1),
        (REDDISH, (30, 30), 1, 1),
        (REDDISH, (3, 9), 0, 1),
        (REDDISH, (60, 69), 0, 1),
        (WHITE, (3, 9), 1, 1),
        (WHITE, (30, 30), 0, 1),
        (WHITE, (60, 69), 0, 0),
    ],
)
def test_an_age_group_is_correct_if_it_holds_the_middle_of_the_label(
    tiny_pack: Path,
    tmp_path: Path,
    colour: tuple[int, int, int],
    age: tuple[int, int],
    correct: float,
    within_one: float,
) -> None:
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: colour}))

    scores = score(evaluate_one(tiny_pack, path, labelled(WOMAN, age=age)).on_ground_truth)

    assert (scores.age_group, scores.within_one_group) == (correct, within_one)


def test_the_age_error_is_from_the_expected_age_to_the_middle_of_the_label(tiny_pack: Path, picture: Path) -> None:
    at_20, at_30 = (
        score(evaluate_one(tiny_pack, picture, labelled(WOMAN, age=(age, age))).on_ground_truth).age_error
        for age in (20, 30)
    )

    # The tiny pack predicts 21 years.
    assert at_20 is not None
    assert at_30 is not None
    assert at_20 < 2
    assert abs(at_20 + at_30 - 10) < 1e-5


def test_a_missed_face_counts_as_wrong(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(
        tiny_pack, picture, labelled(WOMAN, "Female", (10, 49)), labelled(NOBODY, "Female", (10, 49))
    )

    scores = score(evaluation.on_detections)

    assert (scores.gender, scores.age_group, scores.within_one_group) == (0.5, 0.5, 0.5)
    assert scores.age_error is not None


def test_unknown_labels_are_not_counted(tiny_pack: Path, picture: Path) -> None:
    scores = score(evaluate_one(tiny_pack, picture, labelled(WOMAN)).on_ground_truth)

    assert (scores.gender, scores.age_group, scores.within_one_group, scores.age_error) == (None, None, None, None)


def test_the_table_has_a_column_per_pack_and_only_rows_with_figures(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN, "Female"), labelled(MAN, "Male"))

    lines = table([evaluation, evaluation]).splitlines()

    assert lines[0] == "|  | tiny 1 | tiny 1 |"
    assert "| faces found | 2 of 2 | 2 of 2 |" in lines
    assert "| gender correct, ground-truth boxes | 100.0% | 100.0% |" in lines
    assert not [line for line in lines if "age group" in line]


def test_figures_break_down_by_a_column_in_the_order_of_its_values(tiny_pack: Path, picture: Path) -> None:
    evaluation = evaluate_one(tiny_pack, picture, labelled(WOMAN, "Female", (10, 49)), labelled(MAN, "Female", (3, 9)))

    assert [line.split(" | ")[:3] for line in breakdown(evaluation, "age").splitlines()[2:]] == [
        ["| 3-9", "1", "0.0%"],
        ["| 10-49", "1", "100.0%"],
    ]


def test_a_missing_photo_is_an_error(tiny_pack: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"gone\.png cannot be read"):
        evaluate_one(tiny_pack, tmp_path / "gone.png", labelled(WOMAN))


def test_a_file_that_is_not_an_image_is_an_error(tiny_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")

    with pytest.raises(LabelsError, match=r"text\.png: "):
        evaluate_one(tiny_pack, tmp_path / "text.png", labelled(WOMAN))


def test_a_truncated_photo_is_an_error(tiny_pack: Path, tmp_path: Path, picture: Path) -> None:
    (tmp_path / "short.png").write_bytes(picture.read_bytes()[:-200])

    with pytest.raises(LabelsError, match=r"short\.png: .* cut short"):
        evaluate_one(tiny_pack, tmp_path / "short.png", labelled(WOMAN))


def test_a_gender_label_that_the_pack_lacks_is_an_error(tiny_pack: Path, picture: Path) -> None:
    with pytest.raises(LabelsError, match="labelled 'F', but the labels of the pack tiny are Male and Female"):
        evaluate_one(tiny_pack, picture, labelled(WOMAN, "F"))


def test_a_pack_that_does_not_fit_its_nets_is_an_error(tiny_pack: Path, tmp_path: Path, picture: Path) -> None:
    for file in tiny_pack.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content.replace(b"input = [16, 16]", b"input = [8, 8]"))

    with pytest.raises(PackError, match="do not fit their manifest"):
        evaluate_one(tmp_path, picture, labelled(WOMAN))


def test_large_photos_are_decoded_as_the_service_decodes_them(tiny_pack: Path, tmp_path: Path) -> None:
    """The photo is decoded at half its size; the labels are in pixels of the original."""
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), draw(4800, 4800, faces={(600, 600, 1800, 1800): REDDISH}))

    evaluation = evaluate_one(tiny_pack, path, labelled((600, 600, 1800, 1800), "Female"))

    assert score(evaluation.on_detections).found == 1
    assert score(evaluation.on_ground_truth).gender == 1


def test_a_vertical_bar_in_a_group_does_not_break_the_table(tiny_pack: Path, picture: Path) -> None:
    face = replace(labelled(WOMAN), groups={"light": "day|night"})

    assert (
        breakdown(evaluate_one(tiny_pack, picture, face), "light").splitlines()[2].startswith("| day&#124;night | 1 |")
    )


def test_images_are_evaluated_upright(tiny_pack: Path, tmp_path: Path) -> None:
    """Labels are in pixels of the upright image, as the results of the service are."""
    upright_pixels = draw(width=480, faces={WOMAN: REDDISH})
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_exif(encode(as_stored(upright_pixels, 6), "JPEG"), exif(6)))

    assert score(evaluate_one(tiny_pack, path, labelled(WOMAN)).on_detections).found == 1
