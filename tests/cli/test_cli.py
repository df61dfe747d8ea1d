"""The command line: the same answers without HTTP, and an exit status that tells failures."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest
from click.testing import CliRunner, Result

from tests.support.paths import ROOT
from tests.support.tiny_pack import TINY_FACES, write_tiny_pack
from tests.support.waiting import until_called_off
from visage.cli import main
from visage.faces.analyzer import Options
from visage.runtime.engine import Analysis, Engine
from visage.settings import rows

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def photo(tmp_path: Path, tiny_png: bytes) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(tiny_png)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_faces_are_told_in_words(photo: Path) -> None:
    result = run("predict", photo)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == f"{photo}: 3 faces"
    assert "  Female 100%, (10-49) 56%, about 21 years, at x 240..336 y 176..272 (100%)" in result.stdout


def test_the_command_runs_as_a_module(photo: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "visage.cli", "predict", photo], cwd=ROOT, capture_output=True, check=True
    )

    assert ended.stdout.startswith(f"{photo}: 3 faces\n".encode())


def test_json_is_one_line_a_photo(photo: Path, tmp_path: Path, tiny_jpeg: bytes) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(tiny_jpeg)

    result = run("predict", photo, other, "--json")

    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["photo"], second["photo"]) == (str(photo), str(other))
    assert sorted(tuple(face["bbox"]) for face in first["faces"]) == sorted(TINY_FACES)
    assert first["model"] == {"pack": "tiny", "version": "1"}


def test_annotated_pictures_are_written_on_request(photo: Path, tmp_path: Path) -> None:
    result = run("predict", photo, "-o", tmp_path / "new" / "folder")

    assert result.exit_code == 0
    picture = cv2.imread(str(tmp_path / "new" / "folder" / "photo_faces.jpg"))
    assert picture is not None
    assert picture.shape == (384, 384, 3)


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


def test_one_bad_photo_fails_alone(photo: Path, tmp_path: Path) -> None:
    bad, missing = tmp_path / "notes.jpg", tmp_path / "missing.jpg"
    bad.write_text("not a picture")

    result = run("predict", bad, photo, missing)

    assert result.exit_code == 1
    assert f"{photo}: 3 faces" in result.stdout
    assert f"{bad}: This kind of file is not accepted" in result.stderr
    assert f"{missing}: cannot be read or written: No such file or directory" in result.stderr
    assert "2 of 3 photos failed." in result.stderr


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


def test_many_photos_keep_their_order(tmp_path: Path, tiny_png: bytes) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(30)]
    for path in paths:
        path.write_bytes(tiny_png)

    result = run("predict", *paths, "--json", "--jobs", 3)

    assert [json.loads(line)["photo"] for line in result.stdout.splitlines()] == [str(path) for path in paths]


def test_a_setup_that_cannot_work_is_told_in_a_sentence(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_PACK", "no-such-pack")

    result = run("predict", photo)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There is no model pack 'no-such-pack'")


def test_an_unforeseen_error_fails_its_photo_alone(
    photo: Path, tmp_path: Path, tiny_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(tiny_jpeg)
    analyze = Engine.analyze

    def fail_on_jpeg(self: Engine, data: bytes, options: Options, *, annotated: bool) -> Analysis:
        if data.startswith(b"\xff\xd8"):
            raise MemoryError
        return analyze(self, data, options, annotated=annotated)

    monkeypatch.setattr(Engine, "analyze", fail_on_jpeg)
    result = run("predict", other, photo)

    assert result.exit_code == 1
    assert f"{other}: failed because of an unexpected error (MemoryError)." in result.stderr
    assert f"{photo}: 3 faces" in result.stdout


def test_work_ends_when_nobody_reads_on(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_on: list[bytes] = []
    called_off = until_called_off(monkeypatch, "visage.cli.jobs")

    def slowly(self: Engine, data: bytes, options: Options, *, annotated: bool) -> Analysis:
        worked_on.append(data)
        if len(worked_on) > 1:
            called_off.wait(60)
        return Analysis(1, 1, (), None, 1.0, {})

    def break_pipe(*_: object, **__: object) -> None:
        raise BrokenPipeError

    copies = [photo.with_name(f"{index}.png") for index in range(100)]
    for copy in copies:
        copy.write_bytes(photo.read_bytes())
    monkeypatch.setattr(Engine, "analyze", slowly)
    monkeypatch.setattr("visage.cli.predict.print_line", break_pipe)
    run("predict", *copies, "--jobs", 1)

    assert 1 <= len(worked_on) <= 2


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_comes_between_two_photos(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: "Future[Any]") -> BaseException | None:
        signal.raise_signal(signal.SIGINT)
        return exception(self)

    exception = Future.exception
    copies = [photo.with_name(f"{index}.png") for index in range(10)]
    for copy in copies:
        copy.write_bytes(photo.read_bytes())
    monkeypatch.setattr(Future, "exception", interrupt)
    result = run("predict", *copies, "--jobs", 1)

    assert result.exit_code == 1
    assert result.stdout.startswith(f"{copies[0]}: 3 faces")
    assert str(copies[1]) not in result.stdout
    assert "Aborted!" in result.stderr


def test_an_output_that_is_a_file_is_refused(photo: Path) -> None:
    result = run("predict", photo, "-o", photo / "below")

    assert result.exit_code == 2
    assert "cannot be made" in result.stderr


def test_every_setting_is_shown_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_QUEUE", "3")

    result = run("settings")

    assert [line.split("=")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        row.name for row in rows()
    ]
    assert "VISAGE_QUEUE=3\n" in result.stdout


def test_the_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISAGE_API_TOKEN", "s3cret")

    result = run("settings")

    assert "s3cret" not in result.output
    assert "VISAGE_API_TOKEN=(set)" in result.stdout


def test_packs_are_listed_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_tiny_pack(tmp_path / "tiny")
    (write_tiny_pack(tmp_path / "torn") / "age.caffemodel").unlink()
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "list")

    assert "tiny 1 (complete)" in result.stdout
    assert "1 of 6 files missing" in result.stdout


def test_a_right_pack_is_verified_file_by_file() -> None:
    result = run("models", "verify")

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 6
    assert all(": correct (" in line for line in result.stdout.splitlines())


def test_a_torn_pack_is_told_file_by_file(tmp_path: Path) -> None:
    pack = write_tiny_pack(tmp_path / "torn")
    (pack / "age.caffemodel").unlink()
    (pack / "face.prototxt").write_text("altered")

    result = run("models", "verify", pack)

    assert result.exit_code == 1
    assert [": correct (" in line for line in result.stdout.splitlines()] == [False, True, True, True, True, False]


def test_fetching_from_nowhere_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The name of a scheme that nothing is fetched from fails without a network.
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VISAGE_MIRROR", "ftp://mirror.example")

    result = run("models", "fetch", "classic")

    assert result.exit_code == 1
    assert "gender.caffemodel: licence not stated by its authors" in result.stdout
    assert "ftp" in result.stderr


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A server of files; `<mirror>/tiny/` holds the tiny pack."""
    write_tiny_pack(tmp_path / "mirror" / "tiny")
    handler = partial(SilentFileServer, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.005))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class SilentFileServer(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_a_pack_is_fetched_from_a_mirror_and_is_right(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: str, photo: Path
) -> None:
    models = tmp_path / "models"
    bare = write_tiny_pack(models / "tiny")
    for file in (*bare.glob("*.prototxt"), *bare.glob("*.caffemodel")):
        file.unlink()
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(models))
    monkeypatch.setenv("VISAGE_MIRROR", mirror)
    monkeypatch.setenv("VISAGE_PACK", "tiny")

    before = run("models", "verify", "tiny")
    fetched = run("models", "fetch", "tiny")
    after = run("models", "verify", "tiny")

    assert (before.exit_code, fetched.exit_code, after.exit_code) == (1, 0, 0)
    assert "tiny: fetched 6 files" in fetched.stdout
    assert f"{photo}: 3 faces" in run("predict", photo).stdout


def test_a_pack_that_is_whole_needs_no_fetching(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_tiny_pack(tmp_path / "tiny")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "fetch", "tiny")

    assert result.exit_code == 0
    assert "nothing to fetch" in result.stdout
