"""`visage predict`: the results of the service without HTTP, and an exit status that reports failures."""

import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.cli.helpers import files, run, write
from tests.support.paths import ROOT
from tests.support.tiny_pack import TINY_FACES
from tests.support.waiting import cancellation_event
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Analysis, Engine

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_faces_are_described_in_text(photo: Path) -> None:
    result = run("predict", photo)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{photo}: 3 faces"
    assert "  Female 100%, (10-49) 56%, about 21 years, at x 240..336 y 176..272 (100%)" in result.stdout


def test_the_command_runs_as_a_module(photo: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "visage.cli", "predict", photo], cwd=ROOT, capture_output=True, check=True
    )

    assert ended.stdout.startswith(f"{photo}: 3 faces\n".encode())


def test_json_is_one_line_per_photo(photo: Path, tmp_path: Path, tiny_jpeg: bytes) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(tiny_jpeg)

    result = run("predict", photo, other, "--json")

    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["photo"], second["photo"]) == (str(photo), str(other))
    assert sorted(tuple(face["bbox"]) for face in first["faces"]) == sorted(TINY_FACES)
    assert first["model"] == {"pack": "tiny", "version": "1"}


def test_annotated_images_are_written_to_the_output_directory(photo: Path, tmp_path: Path) -> None:
    result = run("predict", photo, "-o", tmp_path / "new" / "folder")

    assert result.exit_code == 0
    picture = cv2.imread(str(tmp_path / "new" / "folder" / "photo_faces.jpg"))
    assert picture is not None
    assert picture.shape == (384, 384, 3)


def test_an_annotated_image_that_cannot_be_written_leaves_no_file(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("visage.cli.files.os.fsync", fail)
    result = run("predict", photo, "-o", tmp_path / "out")

    assert result.exit_code == 1
    assert f"{photo}: cannot be read or written: Input/output error" in result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_photos_of_the_same_name_do_not_overwrite_each_other(tmp_path: Path, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    for folder, content in (("a", tiny_png), ("b", tiny_jpeg)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "photo.png").write_bytes(content)

    run("predict", tmp_path / "a" / "photo.png", tmp_path / "b" / "photo.png", "-o", tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["photo_faces.jpg", "photo_faces_2.jpg"]


def test_a_photo_is_never_overwritten(photo: Path, tiny_jpeg: bytes) -> None:
    namesake = photo.parent / "photo_faces.jpg"
    namesake.write_bytes(tiny_jpeg)

    run("predict", photo, namesake, "-o", photo.parent)

    assert namesake.read_bytes() == tiny_jpeg
    assert (photo.parent / "photo_faces_2.jpg").is_file()


@pytest.mark.parametrize("names", [{"photo_faces.jpg"}, {"photo_faces.jpg", "photo_faces_2.jpg"}])
def test_a_file_of_others_is_never_overwritten(photo: Path, names: set[str], tiny_jpeg: bytes) -> None:
    for name in names:
        (photo.parent / name).write_bytes(tiny_jpeg)

    for _run in ("first", "second"):
        assert run("predict", photo, "-o", photo.parent).exit_code == 0

    assert {name: (photo.parent / name).read_bytes() for name in names} == dict.fromkeys(names, tiny_jpeg)
    assert files(photo.parent) == names | {photo.name, f"photo_faces_{len(names) + 1}.jpg"}


def test_a_link_in_place_of_an_annotated_image_is_kept(photo: Path, tmp_path: Path) -> None:
    link = tmp_path / "photo_faces.jpg"
    link.symlink_to(tmp_path / "nowhere")

    run("predict", photo, "-o", tmp_path)

    assert link.is_symlink()
    assert (tmp_path / "photo_faces_2.jpg").is_file()


def test_json_has_the_path_of_the_annotated_image(tmp_path: Path, tiny_png: bytes) -> None:
    photos = [write(tmp_path / folder / "photo.png", tiny_png) for folder in ("a", "b")]

    result = run("predict", *photos, "-o", tmp_path / "out", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    annotated = [str(tmp_path / "out" / name) for name in ("photo_faces.jpg", "photo_faces_2.jpg")]
    assert [(line["photo"], line["annotated"]) for line in lines] == list(zip(map(str, photos), annotated, strict=True))


def test_control_characters_of_file_names_are_escaped(tmp_path: Path, tiny_png: bytes) -> None:
    photo = write(tmp_path / "a\n\x1b[31m\x9b.png", tiny_png)
    missing = tmp_path / "gone\r.png"

    result = run("predict", photo, missing)

    assert f"{tmp_path}/a\\n\\x1b[31m\\x9b.png: 3 faces\n" in result.stdout
    assert f"{tmp_path}/gone\\r.png: cannot be read" in result.stderr


def test_control_characters_are_escaped_in_the_error_of_a_command_that_cannot_run(photo: Path) -> None:
    result = run("predict", photo, "-o", photo / "be\nlow")

    assert "be\\nlow cannot be made" in result.stderr


def test_one_bad_photo_fails_alone(photo: Path, tmp_path: Path) -> None:
    bad, missing = tmp_path / "notes.jpg", tmp_path / "missing.jpg"
    bad.write_text("not a picture")

    result = run("predict", bad, photo, missing)

    assert result.exit_code == 1
    assert f"{photo}: 3 faces" in result.stdout
    assert f"{bad}: This kind of file is not accepted" in result.stderr
    assert f"{missing}: cannot be read or written: No such file or directory" in result.stderr
    assert "2 of 3 photos failed." in result.stderr


def test_a_photo_may_come_from_a_pipe(photo: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", photo, pipe]) as writer:
        try:
            result = run("predict", pipe)
        finally:
            writer.kill()

    assert result.stdout.splitlines()[:1] == [f"{pipe}: 3 faces"]


def test_a_failure_is_a_line_of_json_too(tmp_path: Path) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a picture")

    result = run("predict", bad, "--json")

    assert json.loads(result.stdout)["code"] == "unsupported_type"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--max-faces", 1), 1),
        (("--min-face-size", 97), 0),
        (("--min-confidence", 0.999), 1),
        (("--detail", "fast"), 3),
    ],
)
def test_options_choose_the_faces(photo: Path, arguments: tuple[object, ...], count: int) -> None:
    result = run("predict", photo, "--json", *arguments)

    assert len(json.loads(result.stdout)["faces"]) == count


@pytest.mark.parametrize(
    "arguments",
    [
        ("--min-confidence", "0"),
        ("--min-confidence", "nan"),
        ("--max-faces", "0"),
        ("--max-faces", "1001"),
        ("--min-face-size", "-1"),
        ("--min-face-size", "100001"),
    ],
)
def test_invalid_options_are_rejected(photo: Path, arguments: tuple[str, str]) -> None:
    assert run("predict", photo, *arguments).exit_code == 2


def test_many_photos_keep_their_order(tmp_path: Path, tiny_png: bytes) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(30)]
    for path in paths:
        path.write_bytes(tiny_png)

    result = run("predict", *paths, "--json", "--jobs", 3)

    assert [json.loads(line)["photo"] for line in result.stdout.splitlines()] == [str(path) for path in paths]


def test_an_unusable_setting_is_reported_in_one_sentence(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_PACK", "no-such-pack")

    result = run("predict", photo)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There is no model pack 'no-such-pack'")


def test_an_unexpected_error_fails_its_photo_alone(
    photo: Path, tmp_path: Path, tiny_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(tiny_jpeg)
    analyze = Engine.analyze

    def fail_on_jpeg(self: Engine, data: bytes, options: AnalyzeOptions, *, annotated: bool) -> Analysis:
        if data.startswith(b"\xff\xd8"):
            raise MemoryError
        return analyze(self, data, options, annotated=annotated)

    monkeypatch.setattr(Engine, "analyze", fail_on_jpeg)
    result = run("predict", other, photo)

    assert result.exit_code == 1
    assert f"{other}: failed because of an unexpected error (MemoryError)." in result.stderr
    assert f"{photo}: 3 faces" in result.stdout


def test_a_closed_output_pipe_stops_the_run(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyzed: list[bytes] = []
    cancelled = cancellation_event(monkeypatch, "visage.cli.jobs")

    def slowly(self: Engine, data: bytes, options: AnalyzeOptions, *, annotated: bool) -> Analysis:
        analyzed.append(data)
        if len(analyzed) > 1:
            cancelled.wait(60)
        return Analysis(1, 1, (), None, 1.0, {})

    def break_pipe(*_: object, **__: object) -> None:
        raise BrokenPipeError

    copies = [photo.with_name(f"{index}.png") for index in range(100)]
    for copy in copies:
        copy.write_bytes(photo.read_bytes())
    monkeypatch.setattr(Engine, "analyze", slowly)
    monkeypatch.setattr("visage.cli.predict.print_line", break_pipe)
    run("predict", *copies, "--jobs", 1)

    assert 1 <= len(analyzed) <= 2


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_is_deferred_until_a_photo_is_reported(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: "Future[Any]") -> BaseException | None:
        monkeypatch.setattr(Future, "exception", exception)
        signal.raise_signal(signal.SIGINT)
        return exception(self)

    exception = Future.exception
    copies = [photo.with_name(f"{index}.png") for index in range(10)]
    for copy in copies:
        copy.write_bytes(photo.read_bytes())
    monkeypatch.setattr(Future, "exception", interrupt)
    result = run("predict", *copies, "--jobs", 1)

    assert result.exit_code == 130
    assert result.stdout.startswith(f"{copies[0]}: 3 faces")
    # The thread may have begun with the second photo.
    done = result.stdout.count(": 3 faces")
    assert done <= 2
    assert f"Stopped. {done} of 10 photos are done." in result.stderr


def test_an_output_directory_that_is_not_writable_is_rejected(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visage.cli.output_directory.os.access", lambda *_: False)

    result = run("predict", photo, "-o", tmp_path / "out")

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{tmp_path / 'out'} cannot be written to" in result.stderr


def test_a_full_disk_stops_the_run(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []

    def fail(descriptor: int) -> None:
        syncs.append(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    copies = [write(tmp_path / f"{index}.png", photo.read_bytes()) for index in range(20)]
    monkeypatch.setattr("visage.cli.files.os.fsync", fail)
    result = run("predict", *copies, "-o", tmp_path / "out", "--jobs", 1)

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: The disk of {tmp_path / 'out'} is full. Free some space, then run the same command again.\n"
    )
    assert len(syncs) < 5


def test_an_output_directory_below_a_file_is_rejected(photo: Path) -> None:
    result = run("predict", photo, "-o", photo / "below")

    assert result.exit_code == 2
    assert "cannot be made" in result.stderr
