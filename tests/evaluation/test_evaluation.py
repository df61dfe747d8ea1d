"""Measuring a pack: every figure follows from answers that can be counted by hand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.support.pictures import as_stored, encode, exif, with_exif
from tests.support.tiny_pack import BLUISH, REDDISH, draw
from visage.cli import main
from visage.errors import LabelsError, PackError
from visage.evaluation.evaluation import Evaluation, evaluate, match
from visage.evaluation.labels import LabelledFace, LabelledPhoto
from visage.evaluation.scores import breakdown, score, table
from visage.faces.search import Detail
from visage.packs.pack import read_pack
from visage.settings import rows

# For the tiny age net whatever is bright in red and blue is a child of under ten.
WHITE = (255, 255, 255)

# The tiny nets take a reddish square for a woman and a bluish one for a man, both of 10 to 49 years, by 0.56.
WOMAN, MAN, NOBODY = (48, 48, 144, 144), (240, 176, 336, 272), (240, 16, 336, 112)


def labelled(
    box: tuple[float, float, float, float],
    gender: str | None = None,
    age: tuple[int, int] | None = None,
    perhaps: bool = False,
) -> LabelledFace:
    return LabelledFace(
        np.array(box, np.float32), gender, age, perhaps, {"light": "dim" if gender == "Male" else "bright"}
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A woman and a man."""
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: REDDISH, MAN: BLUISH}))
    return path


def measured(tiny_pack: Path, picture: Path, *faces: LabelledFace, least_height: float = 0) -> Evaluation:
    photos = [LabelledPhoto(picture, faces)]
    (evaluation,) = evaluate([read_pack(tiny_pack)], photos, Detail.FAST, least_height)
    return evaluation


def test_faces_that_are_where_the_labels_say_are_found(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN), labelled(MAN))

    assert (score(evaluation.searched).found, score(evaluation.searched).faces) == (2, 2)
    assert evaluation.false_boxes == 0


def test_a_labelled_face_that_no_box_shares_is_missed(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN), labelled(MAN), labelled(NOBODY))

    assert (score(evaluation.searched).found, score(evaluation.searched).faces) == (2, 3)


def test_a_box_on_no_labelled_face_is_false(tiny_pack: Path, picture: Path) -> None:
    assert measured(tiny_pack, picture, labelled(WOMAN)).false_boxes == 1


def test_two_labels_need_two_boxes(tiny_pack: Path, picture: Path) -> None:
    nearly = (52, 52, 148, 148)

    evaluation = measured(tiny_pack, picture, labelled(WOMAN), labelled(nearly), labelled(MAN))

    assert score(evaluation.searched).found == 2


@pytest.mark.parametrize(
    ("label", "found", "false"),
    [
        ((48, 48, 144, 144), 1, 0),
        ((48, 48, 144, 100), 1, 0),  # shares 0.54 of the union
        ((48, 48, 144, 80), 0, 0),  # shares 0.33: the box means that face, but not well enough
        ((48, 48, 144, 72), 0, 1),  # shares 0.25
    ],
)
def test_a_box_finds_a_face_from_four_tenths_and_is_false_under_three(
    tiny_pack: Path, tmp_path: Path, label: tuple[float, float, float, float], found: int, false: int
) -> None:
    path = tmp_path / "woman.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: REDDISH}))

    evaluation = measured(tiny_pack, path, labelled(label))

    assert score(evaluation.searched).found == found
    assert evaluation.false_boxes == false


def test_a_second_box_on_one_face_is_false() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 3, 10, 13]], np.float32)

    pairs, false_boxes = match(boxes, boxes[:1], np.array([False]))

    assert (pairs, false_boxes) == ({0: 0}, 1)


def test_a_second_box_on_a_face_that_may_be_one_is_not_false() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 3, 10, 13]], np.float32)

    pairs, false_boxes = match(boxes, boxes[:1], np.array([True]))

    assert (pairs, false_boxes) == ({0: 0}, 0)


def test_a_box_goes_to_the_face_that_it_fits_best() -> None:
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    faces = np.array([[0, 4, 10, 14], [0, 1, 10, 11]], np.float32)

    assert match(boxes, faces, np.array([False, False]))[0] == {1: 0}


@pytest.mark.parametrize(("scale", "small"), [(1.0, 0), (3.0, 1)])
def test_a_small_face_is_one_under_a_tenth_of_the_longer_side(
    tiny_pack: Path, tmp_path: Path, scale: float, small: int
) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), draw(round(384 * scale), 384, faces={WOMAN: REDDISH}))

    evaluation = measured(tiny_pack, path, labelled(WOMAN))

    assert sum(answer.small for answer in evaluation.searched) == small


def test_a_face_that_may_be_none_is_neither_missed_nor_false(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(
        tiny_pack, picture, labelled(WOMAN), labelled(MAN, perhaps=True), labelled(NOBODY, perhaps=True)
    )

    assert (score(evaluation.searched).found, score(evaluation.searched).faces) == (1, 1)
    assert evaluation.false_boxes == 0


def test_a_face_lower_than_asked_for_need_not_be_found(tiny_pack: Path, picture: Path) -> None:
    low = (300.0, 20.0, 320.0, 39.0)

    evaluation = measured(tiny_pack, picture, labelled(WOMAN), labelled(MAN), labelled(low), least_height=20)

    assert score(evaluation.searched).faces == 2


def test_genders_are_compared_whatever_their_case(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN, "female"), labelled(MAN, "FEMALE"))

    assert score(evaluation.given).gender == 0.5


@pytest.mark.parametrize(
    ("colour", "age", "right", "within_one"),
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
def test_an_age_group_is_right_if_it_holds_the_middle_of_the_label(
    tiny_pack: Path,
    tmp_path: Path,
    colour: tuple[int, int, int],
    age: tuple[int, int],
    right: float,
    within_one: float,
) -> None:
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), draw(faces={WOMAN: colour}))

    scores = score(measured(tiny_pack, path, labelled(WOMAN, age=age)).given)

    assert (scores.age, scores.within_one) == (right, within_one)


def test_the_error_in_years_is_from_the_expectation_to_the_middle_of_the_label(tiny_pack: Path, picture: Path) -> None:
    at_20, at_30 = (
        score(measured(tiny_pack, picture, labelled(WOMAN, age=(age, age))).given).years for age in (20, 30)
    )

    # The tiny pack says 21 years.
    assert at_20 is not None
    assert at_30 is not None
    assert at_20 < 2
    assert abs(at_20 + at_30 - 10) < 1e-5


def test_what_was_not_found_is_wrong(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN, "Female", (10, 49)), labelled(NOBODY, "Female", (10, 49)))

    scores = score(evaluation.searched)

    assert (scores.gender, scores.age, scores.within_one) == (0.5, 0.5, 0.5)
    assert scores.years is not None


def test_unknown_labels_are_not_counted(tiny_pack: Path, picture: Path) -> None:
    scores = score(measured(tiny_pack, picture, labelled(WOMAN)).given)

    assert (scores.gender, scores.age, scores.within_one, scores.years) == (None, None, None, None)


def test_the_table_has_a_column_a_pack_and_only_rows_with_figures(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN, "Female"), labelled(MAN, "Male"))

    lines = table([evaluation, evaluation]).splitlines()

    assert lines[0] == "|  | tiny 1 | tiny 1 |"
    assert "| faces found | 2 of 2 | 2 of 2 |" in lines
    assert "| gender right, labelled boxes | 100.0% | 100.0% |" in lines
    assert not [line for line in lines if "age group" in line]


def test_figures_break_down_by_a_column_in_the_order_of_its_values(tiny_pack: Path, picture: Path) -> None:
    evaluation = measured(tiny_pack, picture, labelled(WOMAN, "Female", (10, 49)), labelled(MAN, "Female", (3, 9)))

    assert [line.split(" | ")[:3] for line in breakdown(evaluation, "age").splitlines()[2:]] == [
        ["| 3-9", "1", "0.0%"],
        ["| 10-49", "1", "100.0%"],
    ]


def test_a_photo_that_is_missing_is_told(tiny_pack: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"gone\.png cannot be read"):
        measured(tiny_pack, tmp_path / "gone.png", labelled(WOMAN))


def test_a_photo_that_is_none_is_told(tiny_pack: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")

    with pytest.raises(LabelsError, match=r"text\.png: "):
        measured(tiny_pack, tmp_path / "text.png", labelled(WOMAN))


def test_a_photo_that_is_cut_short_is_told(tiny_pack: Path, tmp_path: Path, picture: Path) -> None:
    (tmp_path / "short.png").write_bytes(picture.read_bytes()[:-200])

    with pytest.raises(LabelsError, match=r"short\.png: .* cut short"):
        measured(tiny_pack, tmp_path / "short.png", labelled(WOMAN))


def test_a_gender_that_no_pack_tells_is_told(tiny_pack: Path, picture: Path) -> None:
    with pytest.raises(LabelsError, match="labelled 'F', but the pack tiny tells Male from Female"):
        measured(tiny_pack, picture, labelled(WOMAN, "F"))


def test_a_pack_that_does_not_fit_its_nets_is_told(tiny_pack: Path, tmp_path: Path, picture: Path) -> None:
    for file in tiny_pack.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content.replace(b"input = [16, 16]", b"input = [8, 8]"))

    with pytest.raises(PackError, match="do not fit their manifest"):
        measured(tmp_path, picture, labelled(WOMAN))


def test_large_photos_are_measured_as_the_service_sees_them(tiny_pack: Path, tmp_path: Path) -> None:
    """Decoded at half their size, with labels in pixels of the original."""
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), draw(4800, 4800, faces={(600, 600, 1800, 1800): REDDISH}))

    evaluation = measured(tiny_pack, path, labelled((600, 600, 1800, 1800), "Female"))

    assert score(evaluation.searched).found == 1
    assert score(evaluation.given).gender == 1


def test_a_bar_in_the_name_of_a_group_does_not_break_the_table(tiny_pack: Path, picture: Path) -> None:
    face = replace(labelled(WOMAN), groups={"light": "day|night"})

    assert breakdown(measured(tiny_pack, picture, face), "light").splitlines()[2].startswith("| day&#124;night | 1 |")


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch, tiny_pack: Path) -> None:
        for row in rows():
            monkeypatch.delenv(row.name, raising=False)
        monkeypatch.setenv("VISAGE_PACK", str(tiny_pack))

    @staticmethod
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])

    @pytest.fixture
    def folder(self, picture: Path) -> Path:
        picture.with_name("labels.csv").write_text(
            "file,x1,y1,x2,y2,gender,age,light\n"
            f"picture.png,{','.join(map(str, WOMAN))},Female,10-49,bright\n"
            f"picture.png,{','.join(map(str, MAN))},Female,10-49,dim\n"
        )
        return picture.parent

    def test_prints_the_figures_of_the_pack_in_use(self, folder: Path) -> None:
        result = self.run(folder, "--detail", "fast")

        assert result.exit_code == 0
        assert "| gender right, labelled boxes | 50.0% |" in result.stdout
        assert "| gender right, found boxes | 50.0% |" in result.stdout

    def test_measures_packs_side_by_side(self, folder: Path, tiny_pack: Path) -> None:
        result = self.run(folder, "--pack", tiny_pack, "--pack", tiny_pack)

        assert result.stdout.splitlines()[0] == "|  | tiny 1 | tiny 1 |"

    def test_breaks_figures_down_by_a_column(self, folder: Path) -> None:
        result = self.run(folder, "--by", "light")

        assert "| dim | 1 | 0.0% |" in result.stdout
        assert "| bright | 1 | 100.0% |" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--by", "shoe_size"], "has no column 'shoe_size' to go by"),
            (["--pack", "nowhere"], "There is no model pack"),
        ],
    )
    def test_says_in_one_sentence_what_it_cannot_do(self, folder: Path, arguments: list[str], said: str) -> None:
        result = self.run(folder, *arguments)

        assert result.exit_code == 2
        assert said in result.stderr

    def test_says_that_a_folder_has_no_labels(self, tmp_path: Path) -> None:
        result = self.run(tmp_path)

        assert result.exit_code == 2
        assert "labels.csv cannot be read" in result.stderr


def test_pictures_are_judged_as_they_lie_upright(tiny_pack: Path, tmp_path: Path) -> None:
    """A label counts pixels of the upright picture, as the service's answers do."""
    upright_pixels = draw(width=480, faces={WOMAN: REDDISH})
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_exif(encode(as_stored(upright_pixels, 6), "JPEG"), exif(6)))

    assert score(measured(tiny_pack, path, labelled(WOMAN)).searched).found == 1
