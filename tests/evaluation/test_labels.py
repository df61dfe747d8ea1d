"""`labels.csv`: the ground truth of a folder of photos."""

import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from visage.errors import LabelsError
from visage.evaluation.labels import LabelledFace, age_text, read_labels


def written(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder


def only_face(folder: Path, text: str) -> LabelledFace:
    ((face,),) = (photo.faces for photo in read_labels(written(folder, text)).photos)
    return face


def test_each_row_is_a_face_of_its_file(tmp_path: Path) -> None:
    table = "file,x1,y1,x2,y2\na.jpg,1,2,3,4\nb.jpg,5,6,7,8\na.jpg,10,20,30,40\n"

    photos = read_labels(written(tmp_path, table)).photos

    assert [photo.path for photo in photos] == [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert [face.box.tolist() for face in photos[0].faces] == [[1, 2, 3, 4], [10, 20, 30, 40]]


def test_a_row_with_only_a_file_is_a_photo_without_faces(tmp_path: Path) -> None:
    (photo,) = read_labels(written(tmp_path, "file,x1,y1,x2,y2,age\nempty.jpg,,,,,\n")).photos

    assert photo.faces == ()


@pytest.mark.parametrize(
    ("age", "years"), [("34", (34, 34)), ("30-39", (30, 39)), ("70+", (70, 100)), (" 3 - 9 ", (3, 9)), ("", None)]
)
def test_an_age_is_a_number_a_range_or_open_ended(tmp_path: Path, age: str, years: tuple[int, int] | None) -> None:
    assert only_face(tmp_path, f"file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,{age}\n").age == years


def test_other_columns_are_groups(tmp_path: Path) -> None:
    labels = read_labels(written(tmp_path, "file,x1,y1,x2,y2,gender,light,glasses\na.jpg,1,2,3,4,Female, dim ,yes\n"))

    assert labels.groups == ("light", "glasses")
    assert labels.photos[0].faces[0].groups == {"light": "dim", "glasses": "yes"}


@pytest.mark.parametrize("column", ["difficult", "perhaps"])
@pytest.mark.parametrize(("text", "difficult"), [("", False), ("no", False), ("yes", True), (" Yes", True)])
def test_a_face_can_be_marked_as_difficult(tmp_path: Path, column: str, text: str, difficult: bool) -> None:
    assert only_face(tmp_path, f"file,x1,y1,x2,y2,{column}\na.jpg,1,2,3,4,{text}\n").difficult is difficult


@pytest.mark.parametrize("text", ["34", "30-39", "70+"])
def test_years_are_written_as_they_were_read(tmp_path: Path, text: str) -> None:
    age = only_face(tmp_path, f"file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,{text}\n").age

    assert age is not None
    assert age_text(age) == text


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```csv\n(.*?)```", (ROOT / "docs" / "command-line.md").read_text(), re.DOTALL)

    photos = read_labels(written(tmp_path, example)).photos

    assert [(photo.path.name, [face.difficult for face in photo.faces]) for photo in photos] == [
        ("group.jpg", [False, False, True]),
        ("landscape.jpg", []),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "needs a first line"),
        ("file,left,top\na.jpg,1,2\n", "needs a first line"),
        ("file,x1,y1,x2,y2\n", "lists no photo"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,four\n", "line 2: a box needs x1 < x2"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,4\nb.jpg,5,6,5,8\n", "line 3: a box needs x1 < x2"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,nan,4\n", "line 2: a box needs x1 < x2"),
        ("file,x1,y1,x2,y2\na.jpg,1,2\n", "line 2: a box needs x1 < x2"),
        ("x1,y1,x2,y2,file\n1,2,3,4\n", "line 2: a row needs the name of a file"),
        ("file,x1,y1,x2,y2\na\0.jpg,1,2,3,4\n", "line 2: a row needs the name of a file"),
        ("file,x1,y1,x2,y2,age\na.jpg,,,,,34\n", "line 2: a face needs a box"),
        (
            "file,x1,y1,x2,y2,difficult\na.jpg,1,2,3,4,maybe\n",
            "line 2: difficult is 'maybe'; it must be yes, no or empty",
        ),
        ("file,x1,y1,x2,y2,perhaps\na.jpg,1,2,3,4,maybe\n", "line 2: perhaps is 'maybe'; it must be yes, no or empty"),
        ("file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,old\n", "line 2: 'old' is not an age"),
        ("file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,40-30\n", "line 2: '40-30' ends before it starts"),
        ("file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,200-300\n", "line 2: '200-300' is no age of a person; ages end at 130"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,4,5\n", "line 2: a row has more fields than the first line"),
    ],
)
def test_an_invalid_row_is_reported_with_its_line(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(LabelsError) as caught:
        read_labels(written(tmp_path, table))

    assert message in str(caught.value)


def test_a_folder_without_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LabelsError) as caught:
        read_labels(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path / 'labels.csv'} cannot be read (No such file or directory). Name a folder that holds one."
    )


def test_a_table_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes("file,x1,y1,x2,y2\nJosé.jpg,1,2,3,4\n".encode("latin-1"))

    with pytest.raises(LabelsError, match="in UTF-8"):
        read_labels(tmp_path)
