"""`visage evaluate`: figures of packs on a folder of labelled photos."""

from pathlib import Path

import cv2
import pytest
from click.testing import Result

from tests.cli.helpers import run
from tests.support.tiny_pack import BLUISH, REDDISH, draw

pytestmark = pytest.mark.usefixtures("plain_environment")

WOMAN, MAN = (48, 48, 144, 144), (240, 176, 336, 272)


def evaluate(*arguments: object) -> Result:
    return run("evaluate", *arguments)


@pytest.fixture
def labelled_folder(tmp_path: Path) -> Path:
    """An image with a woman and a man, both labelled as women."""
    cv2.imwrite(str(tmp_path / "picture.png"), draw(faces={WOMAN: REDDISH, MAN: BLUISH}))
    (tmp_path / "labels.csv").write_text(
        "file,x1,y1,x2,y2,gender,age,light\n"
        f"picture.png,{','.join(map(str, WOMAN))},Female,10-49,bright\n"
        f"picture.png,{','.join(map(str, MAN))},Female,10-49,dim\n"
    )
    return tmp_path


def test_the_figures_of_the_pack_in_use_are_printed(labelled_folder: Path) -> None:
    result = evaluate(labelled_folder, "--detail", "fast")

    assert result.exit_code == 0
    assert "| gender correct, ground-truth boxes | 50.0% |" in result.stdout
    assert "| gender correct, detected boxes | 50.0% |" in result.stdout


def test_packs_are_compared_side_by_side(labelled_folder: Path, tiny_pack: Path) -> None:
    result = evaluate(labelled_folder, "--pack", tiny_pack, "--pack", tiny_pack)

    assert result.stdout.splitlines()[0] == "|  | tiny 1 | tiny 1 |"


def test_figures_are_broken_down_by_a_column(labelled_folder: Path) -> None:
    result = evaluate(labelled_folder, "--by", "light")

    assert "| dim | 1 | 0.0% |" in result.stdout
    assert "| bright | 1 | 100.0% |" in result.stdout


def test_average_precision_counts_the_faces_of_a_list_and_ignores_the_others(labelled_folder: Path) -> None:
    table = labelled_folder / "labels.csv"
    head, woman, man = table.read_text().splitlines()
    missed = head.replace("file,x1,y1,x2,y2,gender,age,light", "picture.png,0,300,40,340,,,dim")
    rows = [f"{head},easy,hard", f"{woman},1,1", f"{man},0,1", f"{missed},0,1"]
    table.write_text("\n".join(rows) + "\n")

    result = evaluate(labelled_folder, "--average-precision", "easy", "--average-precision", "hard", "--detail", "fast")

    assert result.exit_code == 0, result.output
    assert "| average precision, easy | 1.000 |" in result.stdout
    assert "| average precision, hard | 0.667 |" in result.stdout
    assert "| average precision, all faces | 0.667 |" in result.stdout
    assert "| recall at 10 false positives, hard | 66.7% |" in result.stdout


def test_detection_is_broken_down_by_a_column_for_every_pack(labelled_folder: Path, tiny_pack: Path) -> None:
    table = labelled_folder / "labels.csv"
    table.write_text(table.read_text() + "picture.png,0,300,40,340,,,dim\n")

    result = evaluate(labelled_folder, "--pack", tiny_pack, "--by", "light", "--detail", "fast")

    assert result.exit_code == 0, result.output
    heads = ("tiny 1: found", "tiny 1: average precision", "tiny 1: recall at 10 false positives")
    assert f"| light | faces | {' | '.join(heads)} |" in result.stdout
    assert "| bright | 1 | 100.0% | 1.000 | 100.0% |" in result.stdout
    assert "| dim | 2 | 50.0% | 0.500 | 50.0% |" in result.stdout


def test_detection_can_be_broken_down_by_gender(labelled_folder: Path) -> None:
    result = evaluate(labelled_folder, "--by", "gender", "--detail", "fast")

    assert "| Female | 2 | 100.0% | 1.000 | 100.0% |" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yunet", __file__], "cannot be used as YuNet"),
        (["--yunet", "/nowhere.onnx"], "does not exist"),
        (["--average-precision", "easy"], "has no column 'easy'"),
        (["--average-precision", "light"], "No face has 1 or yes in the column 'light'"),
        (["--by", "shoe_size"], "has no column 'shoe_size'; the columns are: gender, age, light"),
        (["--least-height", "nan"], "'nan' is not a finite number"),
        (["--least-height", "inf"], "'inf' is not a finite number"),
        (["--pack", "nowhere"], "There is no model pack"),
    ],
)
def test_an_unusable_argument_is_reported_in_one_sentence(
    labelled_folder: Path, arguments: list[str], message: str
) -> None:
    result = evaluate(labelled_folder, *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_a_folder_without_labels_is_reported(tmp_path: Path) -> None:
    result = evaluate(tmp_path)

    assert result.exit_code == 2
    assert "labels.csv cannot be read" in result.stderr
