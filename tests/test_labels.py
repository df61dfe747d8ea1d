"""The table that tells whose faces a folder of photos holds."""

from pathlib import Path

import pytest

from visage.errors import LabelsError
from visage.labels import LabelledFace, read_labels


def written(folder: Path, text: str) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder


def only_face(folder: Path, text: str) -> LabelledFace:
    (photo,) = read_labels(written(folder, text))
    (face,) = photo.faces
    return face


def test_a_row_is_a_face_and_faces_of_a_file_belong_together(tmp_path: Path) -> None:
    table = "file,x1,y1,x2,y2\na.jpg,1,2,3,4\nb.jpg,5,6,7,8\na.jpg,10,20,30,40\n"

    photos = read_labels(written(tmp_path, table))

    assert [photo.path for photo in photos] == [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    assert [face.box.tolist() for face in photos[0].faces] == [[1, 2, 3, 4], [10, 20, 30, 40]]


def test_a_file_alone_is_a_photo_without_faces(tmp_path: Path) -> None:
    (photo,) = read_labels(written(tmp_path, "file,x1,y1,x2,y2,age\nempty.jpg,,,,,\n"))

    assert photo.faces == ()


@pytest.mark.parametrize(
    ("age", "years"), [("34", (34, 34)), ("30-39", (30, 39)), ("70+", (70, 100)), (" 3 - 9 ", (3, 9)), ("", None)]
)
def test_an_age_is_a_number_a_range_or_open(tmp_path: Path, age: str, years: tuple[int, int] | None) -> None:
    assert only_face(tmp_path, f"file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,{age}\n").age == years


def test_other_columns_are_groups(tmp_path: Path) -> None:
    face = only_face(tmp_path, "file,x1,y1,x2,y2,gender,perhaps,light,glasses\na.jpg,1,2,3,4,Female,,dim,yes\n")

    assert face.gender == "Female"
    assert not face.perhaps
    assert face.groups == {"light": "dim", "glasses": "yes"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "needs a first line"),
        ("file,left,top\na.jpg,1,2\n", "needs a first line"),
        ("file,x1,y1,x2,y2\n", "names no photo"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,four\n", "line 2: could not convert"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,3,4\nb.jpg,5,6,5,8\n", "line 3: a box has x1 < x2"),
        ("file,x1,y1,x2,y2\na.jpg,1,2,nan,4\n", "line 2: a box has x1 < x2"),
        ("file,x1,y1,x2,y2\na.jpg,1,2\n", "line 2: "),
        ("file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,old\n", "line 2: 'old' is no age"),
        ("file,x1,y1,x2,y2,age\na.jpg,1,2,3,4,40-30\n", "line 2: '40-30' ends before it begins"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(LabelsError) as caught:
        read_labels(written(tmp_path, table))

    assert said in str(caught.value)


def test_a_folder_without_the_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabelsError) as caught:
        read_labels(tmp_path)

    assert str(tmp_path / "labels.csv") in str(caught.value)
