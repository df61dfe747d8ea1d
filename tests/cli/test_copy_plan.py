"""Which files `visage anonymize` copies, which it skips, and where each copy goes."""

import os
from pathlib import Path

import pytest

from tests.cli.helpers import MARKER, anonymize, files, write

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_the_copies_of_one_directory_keep_its_tree_directly_in_the_output(
    folder: Path, out: Path, tiny_png: bytes
) -> None:
    for name in ("a.png", "sub/b.png", "sub/deep/.hidden/c.png"):
        write(folder / name, tiny_png)

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"a.png", "sub/b.png", "sub/deep/.hidden/c.png"}


def test_the_copies_of_several_directories_keep_their_names(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    write(folder / "a.png", tiny_png)
    write(tmp_path / "other" / "a.png", tiny_png)
    lone = write(tmp_path / "lone.png", tiny_png)

    result = anonymize(folder, tmp_path / "other", lone, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"photos/a.png", "other/a.png", "lone.png"}


def test_the_current_directory_keeps_its_name(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    lone = write(tmp_path / "lone.png", tiny_png)
    monkeypatch.chdir(folder)

    anonymize(".", lone, "-o", out)

    assert files(out) == {"photos/a.png", "lone.png"}


def test_two_photos_with_the_same_target_are_rejected(folder: Path, out: Path, tmp_path: Path, tiny_png: bytes) -> None:
    one, other = write(folder / "a.png", tiny_png), write(tmp_path / "other" / "a.png", tiny_png)

    result = anonymize(one, other, "-o", out)

    assert result.exit_code == 2
    assert str(one) in result.stderr
    assert str(other) in result.stderr
    assert not out.exists()


def test_skipped_files_cannot_collide(folder: Path, out: Path, tmp_path: Path, tiny_png: bytes) -> None:
    for parent in (folder / "x", tmp_path / "other" / "x"):
        write(parent / "notes.txt", b"not a picture")
    write(folder / "x" / "a.png", tiny_png)

    result = anonymize(folder / "x", tmp_path / "other" / "x", "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"x/a.png"}


def test_existing_copies_are_skipped(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes, face_count: int
) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        write(folder / name, tiny_png)
    write(out / MARKER, b"")
    write(out / "a.png", b"made before")
    write(out / "sub" / "c.png", b"made before")

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'b.png'}: {face_count} faces anonymized\n"
    assert "2 existing copies skipped; --again replaces them." in result.stderr
    assert (out / "a.png").read_bytes() == b"made before"
    assert (out / "b.png").read_bytes() == redacted


def test_again_replaces_existing_copies(folder: Path, out: Path, tiny_png: bytes, redacted: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(out / MARKER, b"")
    write(out / "a.png", b"made before")

    result = anonymize(folder, "-o", out, "--again")

    assert "existing" not in result.stderr
    assert (out / "a.png").read_bytes() == redacted


def test_hard_links_to_one_file_all_count_as_existing_copies(folder: Path, out: Path, tiny_png: bytes) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)
    write(out / MARKER, b"")
    write(out / "a.png", b"made before")
    (out / "b.png").hardlink_to(out / "a.png")

    assert "2 existing copies skipped" in anonymize(folder, "-o", out).stderr


def test_an_empty_file_or_a_link_does_not_count_as_a_copy(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, redacted: bytes
) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)
    write(out / MARKER, b"")
    write(out / "a.png", b"")
    (out / "b.png").symlink_to(write(tmp_path / "elsewhere.png", tiny_png))

    assert anonymize(folder, "-o", out).exit_code == 0

    assert [(out / name).read_bytes() for name in ("a.png", "b.png")] == [redacted, redacted]
    assert (tmp_path / "elsewhere.png").read_bytes() == tiny_png


def test_links_to_directories_are_not_followed(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "sub" / "a.png", tiny_png)
    (folder / "sub" / "circle").symlink_to(folder)
    (folder / "twin").symlink_to(folder / "sub")

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"sub/a.png"}
    assert "2 files skipped" in result.stderr


def test_links_to_photos_are_followed(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, redacted: bytes
) -> None:
    (folder / "link.png").symlink_to(write(tmp_path / "elsewhere.png", tiny_png))

    anonymize(folder, "-o", out)

    assert not (out / "link.png").is_symlink()
    assert (out / "link.png").read_bytes() == redacted
    assert (tmp_path / "elsewhere.png").read_bytes() == tiny_png


def test_photos_are_recognized_by_their_content(folder: Path, out: Path, tiny_png: bytes, redacted: bytes) -> None:
    for name in ("IMG_0001", "scan.dat", "wrong.jpg", "wrong.heic"):
        write(folder / name, tiny_png)

    assert anonymize(folder, "-o", out).exit_code == 0

    assert {name: (out / name).read_bytes() for name in files(out)} == dict.fromkeys(files(folder), redacted)


def test_other_files_are_skipped_and_counted(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    for name in ("notes.txt", "Thumbs.db", ".DS_Store", "empty", "BMW.txt"):
        write(
            folder / name,
            b"BMW and Mercedes, a list" if name == "BMW.txt" else b"" if name == "empty" else b"no picture",
        )
    os.mkfifo(folder / "pipe.jpg")

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert "6 files skipped" in result.stderr
    assert files(out) == {"a.png"}
