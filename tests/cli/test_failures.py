"""A file that fails is listed with its reason, has no copy, and does not stop the others."""

import errno
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.cli.helpers import (
    anonymize,
    before_each_photo,
    files,
    write,
)
from tests.support.tiff import PHOTOMETRIC, tiff
from visage.cli.files import read_photo
from visage.errors import ImageTooLarge, UnsupportedType

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def broken(folder: Path, tiny_png: bytes, tiny_jpeg: bytes) -> dict[str, str]:
    """Twelve broken files in a tree, and the reason that must be listed for each."""
    bmp = b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 60_000, 60_000, 1, 24) + bytes(24)
    contents: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "The image is empty"),
        "text.jpg": (b"no picture", "This kind of file is not accepted"),
        "cut.jpg": (tiny_jpeg[: len(tiny_jpeg) // 2], "cut short or damaged"),
        "sub/cut.png": (tiny_png[: len(tiny_png) // 2], "The PNG is cut short"),
        "sub/head.jpg": (tiny_jpeg[:10], "The image ends within its header"),
        "sub/damaged.png": (tiny_png[:60] + bytes(60) + tiny_png[120:], "The PNG is"),
        "sub/clip.mp4": (b"\0\0\0\x18ftypisom" + bytes(100), "This kind of file is not accepted"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(100), "cut short in its header"),
        "camera.dng": (tiff([b"?"], {PHOTOMETRIC: 32803}), "A raw file of a camera is not accepted"),
        "camera.CR3": (b"\0\0\0\x18ftypcrx " + bytes(100), "This kind of file is not accepted"),
        "huge.bmp": (bmp, "60000 x 60000 pixels"),
    }
    for name, (content, _) in contents.items():
        write(folder / name, content)
    (folder / "sub" / "gone").symlink_to(folder / "nowhere.jpg")
    return {name: reason for name, (_, reason) in contents.items()} | {"sub/gone": "No such file or directory"}


def test_a_file_named_on_the_command_line_is_never_skipped(folder: Path, out: Path) -> None:
    notes = write(folder / "notes.txt", b"no picture")
    pipe, missing = folder / "pipe", folder / "missing.jpg"
    os.mkfifo(pipe)

    result = anonymize(notes, pipe, missing, "-o", out)

    assert result.exit_code == 1
    assert f"  {notes}: This kind of file is not accepted" in result.stderr
    assert f"  {pipe}: This is not a regular file" in result.stderr
    assert f"  {missing}: cannot be read or written: No such file or directory" in result.stderr
    assert files(out) == set()


def test_broken_files_fail_alone_and_have_no_copy(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes, face_count: int, broken: dict[str, str]
) -> None:
    for name in ("a.png", "sub/b.png", "z.png"):
        write(folder / name, tiny_png)

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 1
    assert {name: (out / name).read_bytes() for name in files(out)} == dict.fromkeys(
        ("a.png", "sub/b.png", "z.png"), redacted
    )
    assert f"3 photos done, {3 * face_count} faces anonymized." in result.stderr
    assert f"{len(broken)} files failed" in result.stderr
    reported = dict(line.strip().split(": ", 1) for line in result.stderr.splitlines() if line.startswith("  "))
    assert reported.keys() == {str(folder / name) for name in broken}
    assert [name for name, reason in broken.items() if reason not in reported[str(folder / name)]] == []


def test_a_file_larger_than_any_accepted_image_is_not_read(folder: Path, tiny_jpeg: bytes) -> None:
    photo = write(folder / "a.jpg", tiny_jpeg)
    os.truncate(photo, 2**40)

    with pytest.raises(ImageTooLarge, match="1,099,511,627,776 bytes"):
        read_photo(photo, max_pixels=50_000_000)


def test_a_video_is_recognized_by_its_first_bytes(folder: Path) -> None:
    video = write(folder / "a.mp4", b"\0\0\0\x18ftypisom")
    os.truncate(video, 2**40)

    with pytest.raises(UnsupportedType):
        read_photo(video, max_pixels=50_000_000)


@pytest.mark.parametrize("name", ["b.png", "b"])
def test_an_unreadable_photo_fails_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in ("a.png", name, "c.png"):
        write(folder / each, tiny_png)
    forbidden = folder / name
    original = Path.open

    def open_unless_forbidden(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_unless_forbidden)
    result = anonymize(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {forbidden}: cannot be read or written: Permission denied" in result.stderr
    assert files(out) == {"a.png", "c.png"}


def test_a_directory_that_cannot_be_listed_is_reported(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "closed/b.png", "open/c.png"):
        write(folder / name, tiny_png)
    original = os.scandir

    def scan_unless_closed(path: Any) -> Any:
        if Path(path) == folder / "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr("visage.cli.plan.os.scandir", scan_unless_closed)
    result = anonymize(folder, "-o", out)
    monkeypatch.undo()

    assert result.exit_code == 1
    assert f"  {folder / 'closed'}: cannot be read or written: Permission denied" in result.stderr
    assert files(out) == {"a.png", "open/c.png"}


def test_a_photo_that_is_deleted_during_the_run_fails_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(folder / name, tiny_png)
    before_each_photo(monkeypatch, lambda _: (folder / "b.png").unlink(missing_ok=True))

    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert f"  {folder / 'b.png'}: cannot be read or written: No such file or directory" in result.stderr
    assert files(out) == {"a.png", "c.png"}


def test_an_unexpected_error_fails_its_photo_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(folder / name, tiny_png)

    def fail_second(number: int) -> None:
        if number == 1:
            raise MemoryError

    before_each_photo(monkeypatch, fail_second)
    result = anonymize(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert f"  {folder / 'b.png'}: failed because of an unexpected error (MemoryError)." in result.stderr
    assert files(out) == {"a.png", "c.png"}
