"""`visage predict` on directories, as a table, and with limits."""

import csv
import os
from io import StringIO
from pathlib import Path

import pytest

from tests.cli.helpers import files, run, write

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_the_photos_in_the_tree_of_a_directory_are_searched(folder: Path, tiny_png: bytes) -> None:
    for name in ("b.png", "a/c.png"):
        write(folder / name, tiny_png)
    write(folder / "notes.txt", b"Milk")

    result = run("predict", folder)

    assert [line for line in result.stdout.splitlines() if ": 3 faces" in line] == [
        f"{folder / 'b.png'}: 3 faces",
        f"{folder / 'a' / 'c.png'}: 3 faces",
    ]
    assert "1 file skipped: not images" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("clip.mp4", b"\0\0\0\x18ftypisom", "This kind of file is not accepted"),
        ("photo.png", None, "The file has 1,099,511,627,776 bytes"),
    ],
)
def test_a_file_that_cannot_be_a_photo_is_not_read_whole(
    folder: Path, tiny_png: bytes, name: str, content: bytes | None, reason: str
) -> None:
    file = write(folder / name, content or tiny_png)
    os.truncate(file, 2**40)

    result = run("predict", folder)

    assert result.exit_code == 1
    assert f"{file}: {reason}" in result.stderr


def test_a_link_to_a_pipe_is_no_photo(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (folder / "link.png").symlink_to(tmp_path / "pipe")

    result = run("predict", folder)

    assert result.exit_code == 0
    assert "1 file skipped: not images" in result.stderr


def test_a_photo_that_is_named_twice_is_searched_once(folder: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)

    assert run("predict", photo, folder).stdout.count(": 3 faces") == 1


def test_annotated_images_in_the_directory_are_no_photos(folder: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    run("predict", folder, "-o", folder / "annotated")

    result = run("predict", folder, "-o", folder / "annotated")

    assert "a_faces" not in result.stdout


def test_annotated_images_may_lie_beside_the_photos(folder: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)

    first, second = run("predict", folder, "-o", folder), run("predict", folder, "-o", folder)

    assert first.stdout.startswith(f"{photo}: 3 faces\n")
    assert second.stdout == first.stdout
    assert "1 annotated image of an earlier run skipped.\n" in second.stderr
    assert files(folder) == {"a.png", "a_faces.jpg"}


def test_the_current_directory_may_be_that_of_the_annotated_images(
    folder: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.chdir(folder)

    result = run("predict", ".", "-o", ".")

    assert result.stdout.startswith("a.png: 3 faces\n")
    assert files(folder) == {"a.png", "a_faces.jpg"}


@pytest.mark.parametrize("command", ["predict", "anonymize", "enhance"])
def test_a_directory_without_photos_is_reported(folder: Path, out: Path, command: str) -> None:
    write(folder / "notes.txt", b"Milk")

    result = run(command, folder, "-o", out)

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No photos found.\n1 file skipped: not images, or links to directories.\n"


def test_a_table_has_a_row_for_each_face(folder: Path, tiny_png: bytes) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)

    rows = list(csv.DictReader(run("predict", folder, "--csv").stdout.splitlines()))

    assert [Path(row["file"]).name for row in rows] == ["a.png"] * 3 + ["b.png"] * 3
    assert [row["face"] for row in rows] == ["1", "2", "3"] * 2
    assert {row["gender"] for row in rows} <= {"Male", "Female"}


def test_a_table_keeps_the_line_breaks_of_file_names(folder: Path, tiny_png: bytes) -> None:
    write(folder / "a\nb.png", tiny_png)

    rows = list(csv.DictReader(StringIO(run("predict", folder, "--csv").stdout)))

    assert [row["file"] for row in rows] == [str(folder / "a\nb.png")] * 3


def test_a_table_has_file_names_that_are_not_text(folder: Path, tiny_png: bytes) -> None:
    for name in (b"caf\xe9.png", b"d.png"):
        write(folder / os.fsdecode(name), tiny_png)

    result = run("predict", folder, "--csv")

    names = [Path(row["file"]).name for row in csv.DictReader(result.stdout.splitlines())]
    assert names == ["caf\\udce9.png"] * 3 + ["d.png"] * 3
    assert result.exit_code == 0


def test_lines_of_json_and_a_table_exclude_each_other(folder: Path) -> None:
    result = run("predict", folder, "--csv", "--json")

    assert result.exit_code == 2
    assert "Choose --json or --csv." in result.stderr


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("predict", "VISAGE_MAX_IMAGE_PIXELS"),
        ("anonymize", "VISAGE_MAX_ANONYMIZE_PIXELS"),
        ("anonymize", "VISAGE_MAX_IMAGE_PIXELS"),
        ("enhance", "VISAGE_MAX_IMAGE_PIXELS"),
    ],
)
def test_the_error_for_a_large_photo_names_the_setting(
    folder: Path, out: Path, tiny_png: bytes, command: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.setenv(setting, "1000")

    result = run(command, folder, "-o", out)

    assert result.exit_code == 1
    assert f"Send a smaller version. {setting} changes this limit." in result.stderr
