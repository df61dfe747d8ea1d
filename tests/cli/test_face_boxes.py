"""`visage anonymize --faces`: faces to keep and boxes to cover, from a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import anonymize, write
from visage.anonymize.options import AnonymizeOptions
from visage.images.boxes import Box
from visage.runtime.engine import Engine

pytestmark = pytest.mark.usefixtures("plain_environment")

MISSED = Box(10, 20, 60, 90)


def chosen(path: Path, content: Any) -> Path:
    return write(path, json.dumps(content).encode())


def test_the_boxes_of_each_photo_are_those_of_its_name(
    tmp_path: Path, folder: Path, out: Path, engine: Engine, tiny_png: bytes, redacted: bytes
) -> None:
    for name in ("a.png", "rome/b.png"):
        write(folder / name, tiny_png)
    face = engine.anonymize(tiny_png).faces[0].box
    faces = chosen(tmp_path / "chosen.json", {"rome/b.png": {"keep": [face.corners], "cover": [MISSED.corners]}})

    result = anonymize(folder, "-o", out, "--faces", faces)

    assert result.exit_code == 0
    options = replace(AnonymizeOptions(), keep=(face,), cover=(MISSED,))
    assert (out / "a.png").read_bytes() == redacted
    assert (out / "rome" / "b.png").read_bytes() == engine.anonymize(tiny_png, options).picture


def test_the_output_says_how_many_faces_were_covered_by_hand(
    tmp_path: Path, photo: Path, out: Path, face_count: int
) -> None:
    faces = chosen(tmp_path / "faces.json", {"photo.png": {"cover": [MISSED.corners]}})

    result = anonymize(photo, "-o", out, "--faces", faces)

    assert result.stdout == f"{photo}: {face_count + 1} faces anonymized, 1 of them by hand\n"


def test_json_has_the_boxes_that_were_covered_by_hand(tmp_path: Path, photo: Path, out: Path) -> None:
    faces = chosen(tmp_path / "faces.json", {"photo.png": {"cover": [MISSED.corners]}})

    result = anonymize(photo, "-o", out, "--faces", faces, "--json")

    assert json.loads(result.stdout)["cover"] == [list(MISSED.corners)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"b.png": {"cover": []}}, "--faces names 'b.png', and no photo has a copy of this name in "),
        ({"photo.png": {"hide": []}}, 'faces.json, \'photo.png\': send an object with "keep", "cover" or both'),
        (
            {"photo.png": {"cover": [[9, 9, 10, 10], [1, 2, 3]]}},
            "cover is wrong; its box 2, [1, 2, 3], must be [x1, y1",
        ),
        ([], 'faces.json must be an object such as {"photo.jpg"'),
    ],
)
def test_a_wrong_file_stops_the_command_with_the_reason(
    tmp_path: Path, photo: Path, out: Path, content: Any, error: str
) -> None:
    result = anonymize(photo, "-o", out, "--faces", chosen(tmp_path / "faces.json", content))

    assert result.exit_code == 2
    assert error in result.stderr
    assert not (out / "photo.png").exists()


def test_a_missing_file_stops_the_command(tmp_path: Path, photo: Path, out: Path) -> None:
    result = anonymize(photo, "-o", out, "--faces", tmp_path / "missing.json")

    assert result.exit_code == 2
    assert "missing.json cannot be read: No such file or directory." in result.stderr


def test_boxes_for_a_copy_that_exists_are_not_used_without_again(tmp_path: Path, photo: Path, out: Path) -> None:
    anonymize(photo, "-o", out)
    before = (out / "photo.png").read_bytes()
    faces = chosen(tmp_path / "faces.json", {"photo.png": {"cover": [MISSED.corners]}})

    result = anonymize(photo, "-o", out, "--faces", faces)

    assert "1 copy with boxes skipped; --again replaces them." in result.stderr
    assert (out / "photo.png").read_bytes() == before
    anonymize(photo, "-o", out, "--faces", faces, "--again")
    assert (out / "photo.png").read_bytes() != before


def test_two_names_of_one_photo_are_rejected(tmp_path: Path, photo: Path, out: Path) -> None:
    faces = chosen(tmp_path / "faces.json", {"photo.png": {"cover": [MISSED.corners]}, "./photo.png": {"keep": []}})

    result = anonymize(photo, "-o", out, "--faces", faces)

    assert result.exit_code == 2
    assert f"--faces has boxes twice for {photo}" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize("name", ["photo.png", "./photo.png", "{photo}"])
def test_a_copy_on_standard_output_has_the_boxes_of_its_photo(
    tmp_path: Path, photo: Path, engine: Engine, tiny_png: bytes, name: str
) -> None:
    faces = chosen(tmp_path / "faces.json", {name.format(photo=photo): {"cover": [MISSED.corners]}})

    result = anonymize(photo, "-o", "-", "--faces", faces)

    assert result.stdout_bytes == engine.anonymize(tiny_png, AnonymizeOptions(cover=(MISSED,))).picture


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (["other.png"], "--faces names 'other.png', and the only photo is 'photo.png'."),
        (["photo.png", "./photo.png"], "--faces has boxes twice for "),
    ],
)
def test_a_file_that_does_not_fit_the_photo_leaves_standard_output_empty(
    tmp_path: Path, photo: Path, names: list[str], error: str
) -> None:
    faces = chosen(tmp_path / "faces.json", {name: {"cover": [MISSED.corners]} for name in names})

    result = anonymize(photo, "-o", "-", "--faces", faces)

    assert (result.exit_code, result.stdout) == (2, "")
    assert error in result.stderr


def test_a_photo_from_standard_input_has_no_name_for_boxes(tmp_path: Path) -> None:
    result = anonymize("-", "-o", "-", "--faces", chosen(tmp_path / "faces.json", {}))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "A photo from standard input has no name for --faces" in result.stderr


def test_a_box_outside_its_photo_fails_that_photo_alone(
    tmp_path: Path, folder: Path, out: Path, tiny_png: bytes
) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)
    faces = chosen(tmp_path / "faces.json", {"a.png": {"cover": [[900, 0, 950, 20]]}})

    result = anonymize(folder, "-o", out, "--faces", faces)

    assert result.exit_code == 1
    assert "a.png: cover is outside the photo: its box 1, [900, 0, 950, 20]" in result.stderr
    assert not (out / "a.png").exists()
    assert (out / "b.png").exists()
