"""Folders anonymized from the command line: every photo is covered or named as missing, and no original is lost."""

import errno
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.pictures import HEIC
from tests.support.waiting import until_called_off
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.cli import main
from visage.cli.console import interrupts_deferred
from visage.cli.files import read_photo, write_atomically
from visage.errors import ImageTooLarge, SetupError, UnsupportedType
from visage.faces.search import Detail
from visage.runtime.engine import Engine

SIGN = ".visage-copies"

UNFINISHED = f".visage-{'0' * 32}.part"

# What starts a process may have told it to ignore interrupts.
COMMAND = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from visage.cli import main; main()"


pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def covered(engine: Engine, tiny_png: bytes) -> bytes:
    """What must become of `tiny_png`."""
    return engine.anonymize(tiny_png).picture


@pytest.fixture
def faces(engine: Engine, tiny_png: bytes) -> int:
    """How many faces the guard covers in `tiny_png`."""
    return engine.anonymize(tiny_png).redacted


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["anonymize", *map(str, arguments)])


def start(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", COMMAND, "anonymize", *map(str, arguments)], **options)


def start_unread(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    """The same, which stands still once nobody has read what it tells of some forty photos."""
    told_at_once = os.environ | {"PYTHONUNBUFFERED": "1"}
    return start(*arguments, stdout=subprocess.PIPE, pipesize=4096, env=told_at_once, **options)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def files(folder: Path) -> set[str]:
    """Everything in a directory but the sign that it is one of copies."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    return {name for name in found if Path(name).name != SIGN}


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_photo_is_copied_with_its_faces_covered(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes, faces: int
) -> None:
    photo = write(folder / "photo.png", tiny_png)

    result = run(photo, "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{photo}: {faces} faces anonymized\n"
    assert result.stderr == f"1 photo done, {faces} faces anonymized.\n"
    assert covered != tiny_png
    assert (out / "photo.png").read_bytes() == covered
    assert photo.read_bytes() == tiny_png


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("--method", "mosaic"), AnonymizeOptions(Mask(method=Method.MOSAIC))),
        (("--method", "solid"), AnonymizeOptions(Mask(method=Method.SOLID))),
        (("--shape", "box"), AnonymizeOptions(Mask(shape=Shape.BOX))),
        (("--mask-scale", 2), AnonymizeOptions(Mask(scale=2.0))),
        (("--min-confidence", 0.999), AnonymizeOptions(min_confidence=0.999)),
    ],
)
def test_options_choose_what_is_covered_and_how(
    folder: Path,
    out: Path,
    engine: Engine,
    tiny_png: bytes,
    covered: bytes,
    arguments: tuple[object, ...],
    options: AnonymizeOptions,
) -> None:
    photo = write(folder / "photo.png", tiny_png)

    run(photo, "-o", out, *arguments)

    content = (out / "photo.png").read_bytes()
    assert content == engine.anonymize(tiny_png, options).picture
    assert content != covered


@pytest.mark.parametrize(("arguments", "detail"), [((), Detail.HIGH), (("--detail", "fast"), Detail.FAST)])
def test_photos_are_looked_at_closely_unless_told_otherwise(
    folder: Path,
    out: Path,
    tiny_png: bytes,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    detail: Detail,
) -> None:
    asked: list[AnonymizeOptions] = []
    anonymize = Engine.anonymize

    def listen(self: Engine, data: bytes, options: AnonymizeOptions) -> Anonymized:
        asked.append(options)
        return anonymize(self, data, options)

    monkeypatch.setattr(Engine, "anonymize", listen)
    run(write(folder / "photo.png", tiny_png), "-o", out, *arguments)

    assert [options.detail for options in asked] == [detail]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mask-scale", "0.9"),
        ("--mask-scale", "3.1"),
        ("--mask-scale", "nan"),
        ("--min-confidence", "0"),
        ("--min-confidence", "nan"),
        ("--method", "pixel"),
        ("--jobs", "0"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    folder: Path, out: Path, tiny_png: bytes, arguments: tuple[str, str]
) -> None:
    write(folder / "photo.png", tiny_png)

    assert run(folder, "-o", out, *arguments).exit_code == 2
    assert not out.exists()


def test_one_directory_keeps_its_tree_directly_under_the_output(folder: Path, out: Path, tiny_png: bytes) -> None:
    for name in ("a.png", "sub/b.png", "sub/deep/.hidden/c.png"):
        write(folder / name, tiny_png)

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"a.png", "sub/b.png", "sub/deep/.hidden/c.png"}


def test_several_directories_keep_their_names(folder: Path, out: Path, tmp_path: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(tmp_path / "other" / "a.png", tiny_png)
    lone = write(tmp_path / "lone.png", tiny_png)

    result = run(folder, tmp_path / "other", lone, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"photos/a.png", "other/a.png", "lone.png"}


def test_the_directory_one_is_in_has_a_name_too(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    lone = write(tmp_path / "lone.png", tiny_png)
    monkeypatch.chdir(folder)

    run(".", lone, "-o", out)

    assert files(out) == {"photos/a.png", "lone.png"}


def test_two_photos_that_would_become_the_same_file_are_refused(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes
) -> None:
    one, other = write(folder / "a.png", tiny_png), write(tmp_path / "other" / "a.png", tiny_png)

    result = run(one, other, "-o", out)

    assert result.exit_code == 2
    assert str(one) in result.stderr
    assert str(other) in result.stderr
    assert not out.exists()


def test_what_is_left_out_cannot_collide(folder: Path, out: Path, tmp_path: Path, tiny_png: bytes) -> None:
    for parent in (folder / "x", tmp_path / "other" / "x"):
        write(parent / "notes.txt", b"not a picture")
    write(folder / "x" / "a.png", tiny_png)

    result = run(folder / "x", tmp_path / "other" / "x", "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"x/a.png"}


def test_what_is_there_already_is_left_alone(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes, faces: int
) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        write(folder / name, tiny_png)
    write(out / SIGN, b"")
    write(out / "a.png", b"made before")
    write(out / "sub" / "c.png", b"made before")

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'b.png'}: {faces} faces anonymized\n"
    assert "2 existing copies skipped; --again replaces them." in result.stderr
    assert (out / "a.png").read_bytes() == b"made before"
    assert (out / "b.png").read_bytes() == covered


def test_what_is_there_already_is_made_anew_on_request(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes
) -> None:
    write(folder / "a.png", tiny_png)
    write(out / SIGN, b"")
    write(out / "a.png", b"made before")

    result = run(folder, "-o", out, "--again")

    assert "already" not in result.stderr
    assert (out / "a.png").read_bytes() == covered


def test_copies_that_are_one_file_on_disk_are_all_there_already(folder: Path, out: Path, tiny_png: bytes) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)
    write(out / SIGN, b"")
    write(out / "a.png", b"made before")
    (out / "b.png").hardlink_to(out / "a.png")

    assert "2 existing copies skipped" in run(folder, "-o", out).stderr


def test_a_directory_in_the_place_of_a_copy_is_told(folder: Path, out: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)
    (out / "a.png").mkdir(parents=True)
    write(out / SIGN, b"")

    result = run(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {photo}: cannot be read or written: Is a directory" in result.stderr
    assert files(out) == set()


def test_a_run_that_was_killed_is_gone_on_with(folder: Path, out: Path, tiny_png: bytes, covered: bytes) -> None:
    names = {f"{index % 3}/{index}.png" for index in range(90)}
    for name in names:
        write(folder / name, tiny_png)

    with start_unread(folder, "-o", out, "--jobs", 2, stderr=subprocess.DEVNULL) as killed:
        wait_for(lambda: len(files(out)) > 5)
        killed.send_signal(signal.SIGKILL)
    done = names & files(out)
    assert 0 < len(done) < len(names)
    assert all((out / name).read_bytes() == covered for name in done)
    write(out / "2" / UNFINISHED, covered[:100])

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == len(names) - len(done)
    assert f"{len(done)} existing copies skipped" in result.stderr
    assert files(out) == names
    assert all((out / name).read_bytes() == covered for name in names)


def test_what_a_killed_run_left_is_no_photo(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(folder / UNFINISHED, tiny_png)

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"a.png"}


def test_what_another_run_is_writing_is_left_alone(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(out / SIGN, b"")
    write(out / UNFINISHED, b"half a pict")
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        run(folder, "-o", out)
    finally:
        os.close(descriptor)

    assert files(out) == {"a.png", UNFINISHED}


@pytest.mark.parametrize("again", [(), ("--again",)])
def test_a_directory_with_other_files_is_refused(
    folder: Path, out: Path, tiny_png: bytes, again: tuple[str, ...]
) -> None:
    # What lies there under the same name may be another original.
    write(folder / "a.png", tiny_png)
    write(out / "a.png", b"another original")

    result = run(folder, "-o", out, *again)

    assert result.exit_code == 2
    assert "has other files; choose a new or an empty directory" in result.stderr
    assert (out / "a.png").read_bytes() == b"another original"


def test_an_empty_file_or_a_link_is_no_copy(
    folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, covered: bytes
) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)
    write(out / SIGN, b"")
    write(out / "a.png", b"")
    (out / "b.png").symlink_to(write(tmp_path / "elsewhere.png", tiny_png))

    assert run(folder, "-o", out).exit_code == 0

    assert [(out / name).read_bytes() for name in ("a.png", "b.png")] == [covered, covered]
    assert (tmp_path / "elsewhere.png").read_bytes() == tiny_png


def test_a_picture_that_is_not_accepted_is_told_whatever_its_name(folder: Path, out: Path) -> None:
    photo = write(folder / "IMG_0001", HEIC)

    result = run(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {photo}: HEIC is not accepted" in result.stderr


def originals_twice(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder]


def originals_by_dots(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder / "sub" / ".."]


def originals_by_dots_that_do_not_exist(folder: Path, _out: Path) -> list[object]:
    return [folder, "-o", folder / "nowhere" / ".."]


def originals_by_link(folder: Path, out: Path) -> list[object]:
    out.symlink_to(folder)
    return [folder, "-o", out]


def originals_as_one_of_several(folder: Path, _out: Path) -> list[object]:
    return [folder.parent / "other", folder, "-o", folder]


def directory_of_the_file(folder: Path, _out: Path) -> list[object]:
    return [folder / "a.png", "-o", folder]


def parent_of_several(folder: Path, _out: Path) -> list[object]:
    return [folder, folder.parent / "other", "-o", folder.parent]


def linked_directory_below(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "sub").symlink_to(folder / "sub")
    return [folder, "-o", out]


def hard_link(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "a.png").hardlink_to(folder / "a.png")
    return [folder, "-o", out]


def link_to_another_original(folder: Path, out: Path) -> list[object]:
    out.mkdir()
    (out / "a.png").symlink_to(folder / "sub" / "b.png")
    return [folder, "-o", out]


@pytest.mark.parametrize("again", [(), ("--again",)])
@pytest.mark.parametrize(
    "prepare",
    [
        originals_twice,
        originals_by_dots,
        originals_by_dots_that_do_not_exist,
        originals_by_link,
        originals_as_one_of_several,
        directory_of_the_file,
        parent_of_several,
        linked_directory_below,
        hard_link,
        link_to_another_original,
    ],
)
def test_an_original_is_never_written_over(
    folder: Path,
    out: Path,
    tmp_path: Path,
    tiny_png: bytes,
    prepare: Callable[[Path, Path], list[object]],
    again: tuple[str, ...],
) -> None:
    for path in (folder / "a.png", folder / "sub" / "b.png", tmp_path / "other" / "c.png"):
        write(path, tiny_png)
    arguments = prepare(folder, out)
    before = files(tmp_path)

    result = run(*arguments, *again)

    assert result.exit_code == 2
    assert "original" in result.stderr
    assert files(tmp_path) == before
    assert all((tmp_path / name).read_bytes() == tiny_png for name in before if (tmp_path / name).is_file())


def test_a_copy_that_has_become_the_original_meanwhile_is_not_written(folder: Path, out: Path) -> None:
    original = write(folder / "a.png", b"original")
    out.mkdir()
    (out / "a.png").hardlink_to(original)

    with pytest.raises(SetupError, match="original"):
        write_atomically(b"copy", out / "a.png", original=original)

    assert (out / "a.png").read_bytes() == b"original"
    assert files(out) == {"a.png"}


def test_an_output_inside_the_directory_is_not_taken_for_photos(folder: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    write(folder / "sub" / "out" / "old.png", tiny_png)
    write(folder / "sub" / "out" / SIGN, b"")

    for arguments in ((), ("--again",)):
        result = run(folder, "-o", folder / "sub" / "out", *arguments)

        assert result.exit_code == 0
        assert files(folder / "sub" / "out") == {"a.png", "old.png"}


def test_links_to_directories_are_not_followed(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "sub" / "a.png", tiny_png)
    (folder / "sub" / "circle").symlink_to(folder)
    (folder / "twin").symlink_to(folder / "sub")

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert files(out) == {"sub/a.png"}
    assert "2 files skipped" in result.stderr


def test_links_to_photos_are_followed(folder: Path, out: Path, tmp_path: Path, tiny_png: bytes, covered: bytes) -> None:
    (folder / "link.png").symlink_to(write(tmp_path / "elsewhere.png", tiny_png))

    run(folder, "-o", out)

    assert not (out / "link.png").is_symlink()
    assert (out / "link.png").read_bytes() == covered
    assert (tmp_path / "elsewhere.png").read_bytes() == tiny_png


def test_photos_are_known_by_their_content(folder: Path, out: Path, tiny_png: bytes, covered: bytes) -> None:
    for name in ("IMG_0001", "scan.dat", "wrong.jpg", "wrong.heic"):
        write(folder / name, tiny_png)

    assert run(folder, "-o", out).exit_code == 0

    assert {name: (out / name).read_bytes() for name in files(out)} == dict.fromkeys(files(folder), covered)


def test_other_files_are_left_out_and_counted(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)
    for name in ("notes.txt", "Thumbs.db", ".DS_Store", "empty", "BMW.txt"):
        write(
            folder / name,
            b"BMW and Mercedes, a list" if name == "BMW.txt" else b"" if name == "empty" else b"no picture",
        )
    os.mkfifo(folder / "pipe.jpg")

    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert "6 files skipped" in result.stderr
    assert files(out) == {"a.png"}


def test_a_file_that_is_named_always_counts(folder: Path, out: Path) -> None:
    notes = write(folder / "notes.txt", b"no picture")
    pipe, missing = folder / "pipe", folder / "missing.jpg"
    os.mkfifo(pipe)

    result = run(notes, pipe, missing, "-o", out)

    assert result.exit_code == 1
    assert f"  {notes}: This kind of file is not accepted" in result.stderr
    assert f"  {pipe}: This is not a regular file" in result.stderr
    assert f"  {missing}: cannot be read or written: No such file or directory" in result.stderr
    assert files(out) == set()


@pytest.fixture
def broken(folder: Path, tiny_png: bytes, tiny_jpeg: bytes) -> dict[str, str]:
    """Twelve broken files in a tree, and what must be said of each."""
    bmp = b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 60_000, 60_000, 1, 24) + bytes(24)
    contents: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "The picture is empty"),
        "text.jpg": (b"no picture", "This kind of file is not accepted"),
        "cut.jpg": (tiny_jpeg[: len(tiny_jpeg) // 2], "cut short or damaged"),
        "sub/cut.png": (tiny_png[: len(tiny_png) // 2], "The PNG is cut short"),
        "sub/head.jpg": (tiny_jpeg[:10], "The picture ends within its header"),
        "sub/damaged.png": (tiny_png[:60] + bytes(60) + tiny_png[120:], "The PNG is"),
        "sub/clip.mp4": (b"\0\0\0\x18ftypisom" + bytes(100), "This kind of file is not accepted"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(100), "HEIC is not accepted"),
        "camera.dng": (b"II*\0" + bytes(100), "TIFF is not accepted"),
        "camera.CR3": (b"\0\0\0\x18ftypcrx " + bytes(100), "This kind of file is not accepted"),
        "huge.bmp": (bmp, "60000 x 60000 pixels"),
    }
    for name, (content, _) in contents.items():
        write(folder / name, content)
    (folder / "sub" / "gone").symlink_to(folder / "nowhere.jpg")
    return {name: reason for name, (_, reason) in contents.items()} | {"sub/gone": "No such file or directory"}


def test_broken_files_fail_alone_and_leave_nothing(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes, faces: int, broken: dict[str, str]
) -> None:
    for name in ("a.png", "sub/b.png", "z.png"):
        write(folder / name, tiny_png)

    result = run(folder, "-o", out)

    assert result.exit_code == 1
    assert {name: (out / name).read_bytes() for name in files(out)} == dict.fromkeys(
        ("a.png", "sub/b.png", "z.png"), covered
    )
    assert f"3 photos done, {3 * faces} faces anonymized." in result.stderr
    assert f"{len(broken)} files failed" in result.stderr
    told = dict(line.strip().split(": ", 1) for line in result.stderr.splitlines() if line.startswith("  "))
    assert told.keys() == {str(folder / name) for name in broken}
    assert [name for name, reason in broken.items() if reason not in told[str(folder / name)]] == []


def test_json_is_one_line_a_file(folder: Path, out: Path, tiny_png: bytes, faces: int) -> None:
    good, bad = write(folder / "a.png", tiny_png), write(folder / "b.jpg", b"no picture")

    result = run(folder, "-o", out, "--json", "--jobs", 1)

    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["photo"], first["copy"], len(first["faces"])) == (str(good), str(out / "a.png"), faces)
    assert first["model"] == {"pack": "tiny", "version": "1"}
    assert (second["photo"], second["code"]) == (str(bad), "unsupported_type")
    assert result.exit_code == 1


def test_a_file_larger_than_any_picture_is_not_read(folder: Path, tiny_jpeg: bytes) -> None:
    photo = write(folder / "a.jpg", tiny_jpeg)
    os.truncate(photo, 2**40)

    with pytest.raises(ImageTooLarge, match="1,099,511,627,776 bytes"):
        read_photo(photo, max_pixels=50_000_000)


def test_a_video_is_known_by_its_first_bytes(folder: Path) -> None:
    video = write(folder / "a.mp4", b"\0\0\0\x18ftypisom")
    os.truncate(video, 2**40)

    with pytest.raises(UnsupportedType):
        read_photo(video, max_pixels=50_000_000)


@pytest.mark.parametrize("name", ["b.png", "b"])
def test_a_photo_that_may_not_be_read_fails_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for each in ("a.png", name, "c.png"):
        write(folder / each, tiny_png)
    forbidden = folder / name
    opened = Path.open

    def open_unless_forbidden(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == forbidden:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_unless_forbidden)
    result = run(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {forbidden}: cannot be read or written: Permission denied" in result.stderr
    assert files(out) == {"a.png", "c.png"}


def test_a_directory_that_may_not_be_listed_is_told(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "closed/b.png", "open/c.png"):
        write(folder / name, tiny_png)
    scan = os.scandir

    def scan_unless_closed(path: Any) -> Any:
        if Path(path) == folder / "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("visage.cli.plan.os.scandir", scan_unless_closed)
    result = run(folder, "-o", out)
    monkeypatch.undo()

    assert result.exit_code == 1
    assert f"  {folder / 'closed'}: cannot be read or written: Permission denied" in result.stderr
    assert files(out) == {"a.png", "open/c.png"}


def before_each(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Have `before` called with the number of each photo that the engine anonymizes."""
    anonymize = Engine.anonymize
    lock, number = threading.Lock(), iter(range(1_000_000))

    def interrupted(self: Engine, data: bytes, options: AnonymizeOptions) -> Anonymized:
        with lock:
            current = next(number)
        before(current)
        return anonymize(self, data, options)

    monkeypatch.setattr(Engine, "anonymize", interrupted)


def test_a_photo_that_vanishes_meanwhile_fails_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(folder / name, tiny_png)
    before_each(monkeypatch, lambda _: (folder / "b.png").unlink(missing_ok=True))

    result = run(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert f"  {folder / 'b.png'}: cannot be read or written: No such file or directory" in result.stderr
    assert files(out) == {"a.png", "c.png"}


def test_an_unforeseen_error_fails_its_photo_alone(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(folder / name, tiny_png)

    def fail_second(number: int) -> None:
        if number == 1:
            raise MemoryError

    before_each(monkeypatch, fail_second)
    result = run(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert f"  {folder / 'b.png'}: failed because of an unexpected error (MemoryError)." in result.stderr
    assert files(out) == {"a.png", "c.png"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_run(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for index in range(40):
        write(folder / f"{index:02}.png", tiny_png)
    asked: list[int] = []

    def full(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) > 5:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("visage.cli.files.os.fsync", full)
    result = run(folder, "-o", out, "--jobs", 2)

    assert result.exit_code == 1
    assert f"Error: The disk of {out} is full." in result.stderr
    assert "5 photos done" in result.stderr
    assert len(asked) < 15
    assert [(out / name).read_bytes() for name in files(out)] == [covered] * 5


def test_few_photos_are_handed_on_at_a_time(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(30):
        write(folder / f"{index}.png", tiny_png)
    handed_on: list[int] = []

    def listen(futures: Any, **options: Any) -> Any:
        handed_on.append(len(futures))
        return wait(futures, **options)

    monkeypatch.setattr("visage.cli.jobs.wait", listen)
    run(folder, "-o", out, "--jobs", 2)

    assert len(files(out)) == 30
    assert max(handed_on) == 4


def test_work_ends_when_nobody_reads_on(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(100):
        write(folder / f"{index}.png", tiny_png)

    def break_pipe(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("visage.cli.anonymize.print_line", break_pipe)
    result = run(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert 0 < len(files(out)) < 10


def test_what_has_not_begun_when_the_user_interrupts_never_will(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        write(folder / f"{index}.png", tiny_png)
    begun: list[int] = []
    called_off = until_called_off(monkeypatch, "visage.cli.jobs")

    def work_slowly(number: int) -> None:
        begun.append(number)
        called_off.wait(60)

    def interrupt(*_: object, **__: object) -> None:
        wait_for(lambda: begun)
        raise KeyboardInterrupt

    before_each(monkeypatch, work_slowly)
    monkeypatch.setattr("visage.cli.jobs.wait", interrupt)
    result = run(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert begun == [0]
    assert files(out) == {"0.png"}


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_breaks_into_no_step_in_which_threads_wait_for_each_other(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(10):
        write(folder / f"{index}.png", tiny_png)
    unbroken: list[bool] = []

    def wait_interrupted(*arguments: Any, **named: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        unbroken.append(True)
        return wait(*arguments, **named)

    monkeypatch.setattr("visage.cli.jobs.wait", wait_interrupted)
    result = run(folder, "-o", out, "--jobs", 1)

    assert result.exit_code == 1
    assert "Aborted!" in result.output
    assert unbroken == [True]
    assert 0 < len(files(out)) < 10


@pytest.mark.usefixtures("interrupts")
def test_a_second_interrupt_is_not_held_back() -> None:
    def interrupt_twice() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), interrupts_deferred():
        interrupt_twice()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_who_ignores_interrupts_still_does() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_deferred() as raise_interrupt:
            signal.raise_signal(signal.SIGINT)
            raise_interrupt()
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_the_run_without_a_traceback(
    folder: Path, out: Path, tiny_png: bytes, covered: bytes
) -> None:
    for index in range(100):
        write(folder / f"{index}.png", tiny_png)

    with start_unread(folder, "-o", out, "--jobs", 2, stderr=subprocess.PIPE) as process:
        wait_for(lambda: len(files(out)) > 10)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)

    assert process.returncode == 1
    assert b"Aborted!" in error
    assert b"Traceback" not in error
    assert len(files(out)) < 100
    assert {(out / name).read_bytes() for name in files(out)} == {covered}


def test_names_that_are_no_text_are_printed(folder: Path, out: Path, tiny_png: bytes, covered: bytes) -> None:
    good, bad = os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"bad\xe9.jpg")
    write(folder / good, tiny_png)
    write(folder / bad, b"no picture")

    for arguments in ((), ("--again", "--json")):
        with start(folder, "-o", out, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, error = process.communicate(timeout=60)

        assert process.returncode == 1
        assert b"caf\\udce9.png" in output
        assert b"bad\\udce9.jpg: This kind of file is not accepted" in error
        assert b"Traceback" not in error
    assert (out / good).read_bytes() == covered


def test_names_as_long_as_a_name_can_be_are_written(folder: Path, out: Path, tiny_png: bytes) -> None:
    name = "a" * 251 + ".png"
    write(folder / name, tiny_png)

    assert run(folder, "-o", out).exit_code == 0
    assert files(out) == {name}


def test_the_time_of_the_original_is_not_carried_over(folder: Path, out: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)
    os.utime(photo, (1_000_000_000, 1_000_000_000))

    run(folder, "-o", out)

    assert abs((out / "a.png").stat().st_mtime - time.time()) < 100


def test_copies_are_as_readable_as_other_files(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.png", tiny_png)

    run(folder, "-o", out)

    assert (out / "a.png").stat().st_mode == write(out / "other", b"").stat().st_mode


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal of 120 columns: ours and that of the process."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    yield ours, its
    os.close(ours)


def shown_on(ours: int) -> str:
    """All that is written to a terminal until nobody has it open any more."""
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            return shown.decode()


def test_progress_goes_forward_and_ends_exactly(
    folder: Path, out: Path, tiny_png: bytes, terminal: tuple[int, int]
) -> None:
    for index in range(60):
        write(folder / f"{index}.png", tiny_png)
    write(folder / "bad.jpg", b"no picture")
    write(folder / "notes.txt", b"no picture")
    write(out / SIGN, b"")
    write(out / "7.png", b"made before")
    ours, its = terminal

    with start(folder, "-o", out, "--jobs", 2, stdout=its, stderr=its) as process:
        os.close(its)
        shown = shown_on(ours)

    assert process.returncode == 1
    counts = [(int(done), int(total)) for done, total in re.findall(r"\| (\d+)/(\d+) \[", shown)]
    # More than there are to do are shown without a total.
    assert "photo [" not in shown
    assert counts[0] == (0, 60)
    assert counts[-1] == (60, 60)
    assert {total for _, total in counts} == {60}
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)
    assert len({done for done, _ in counts}) > 10


def test_progress_is_shown_before_the_first_photo_is_done(
    folder: Path, out: Path, tiny_png: bytes, terminal: tuple[int, int]
) -> None:
    for index in range(20):
        write(folder / f"{index}.png", tiny_png)
    ours, its = terminal

    with start(folder, "-o", out, stdout=its, stderr=its) as process:
        os.close(its)
        shown = shown_on(ours)

    assert process.returncode == 0
    assert 0 <= shown.index("0/20 [") < shown.index(" faces anonymized")


def test_there_is_no_progress_bar_without_a_terminal(folder: Path, out: Path, tiny_png: bytes, faces: int) -> None:
    for name in ("a.png", "b.png"):
        write(folder / name, tiny_png)

    assert run(folder, "-o", out).stderr == f"2 photos done, {2 * faces} faces anonymized.\n"


def test_an_empty_directory_is_no_failure(folder: Path, out: Path) -> None:
    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert result.stderr == "no photos done, no faces anonymized.\n"


def test_an_output_that_cannot_be_made_is_refused(folder: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)

    result = run(folder, "-o", photo / "below")

    assert result.exit_code == 2
    assert "cannot be made" in result.stderr


def test_an_output_that_cannot_be_written_to_is_refused(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.setattr("visage.cli.output_directory.os.access", lambda *_: False)

    result = run(folder, "-o", out)

    assert result.exit_code == 2
    assert "cannot be written to" in result.stderr


def test_a_setup_that_cannot_work_is_told_in_a_sentence(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.setenv("VISAGE_PACK", "no-such-pack")

    result = run(folder, "-o", out)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There is no model pack 'no-such-pack'")
    assert not out.exists()
