"""Pictures enlarged from the command line: copies of a directory of their own, failures named, a bar for patience."""

import errno
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tests.support.enhance_packs import write_luma_pack
from visage.cli import main
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_luma_pack(tmp_path_factory.mktemp("superres") / "luma")


@pytest.fixture(autouse=True)
def enlarging(plain_environment: None, monkeypatch: pytest.MonkeyPatch, pack: Path) -> None:
    monkeypatch.setenv("VISAGE_SUPERRES_PACK", str(pack))


@pytest.fixture
def folder(tmp_path: Path, tiny_png: bytes, tiny_jpeg: bytes) -> Path:
    """Two photos, one of them in a directory, and what is none."""
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "photos" / "one.png").write_bytes(tiny_png)
    (tmp_path / "photos" / "inner" / "two.jpg").write_bytes(tiny_jpeg)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["enhance", *map(str, arguments)])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_photo_is_copied_as_the_net_enlarges_it(folder: Path, out: Path, pack: Path, tiny_png: bytes) -> None:
    result = run(folder / "one.png", "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'one.png'}: 1152 x 1152\n"
    assert (out / "one.png").read_bytes() == Enhancer(Settings(enhance_pack=str(pack))).enhance(tiny_png).picture


def test_a_directory_keeps_its_tree_and_what_is_no_picture_is_left_out(folder: Path, out: Path) -> None:
    result = run(folder, "-o", out)

    assert result.exit_code == 0
    assert size_of(out / "one.png") == (1152, 1152)
    assert size_of(out / "inner" / "two.jpg") == (1152, 1152)
    assert not (out / "notes.txt").exists()


def test_what_is_there_already_is_made_again_on_request_only(folder: Path, out: Path) -> None:
    run(folder, "-o", out)

    second, again = run(folder, "-o", out), run(folder, "-o", out, "--again")

    assert (second.exit_code, second.stdout) == (0, "")
    assert second.stderr == "2 existing copies skipped; --again replaces them.\n"
    assert len(again.stdout.splitlines()) == 2


def test_broken_files_fail_alone_and_leave_nothing(folder: Path, out: Path, tiny_png: bytes) -> None:
    (folder / "cut.png").write_bytes(tiny_png[: len(tiny_png) // 2])

    result = run(folder, folder / "gone.png", "-o", out)

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert f"{folder / 'cut.png'}: The PNG is cut short" in result.stderr
    assert f"{folder / 'gone.png'}: cannot be read or written: No such file" in result.stderr
    assert result.stderr.endswith("2 files failed.\n")
    assert not list(out.rglob("cut*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, tiny_png: bytes, number: int
) -> None:
    (folder / "three.png").write_bytes(tiny_png)
    asked: list[int] = []

    def full(descriptor: int) -> None:
        asked.append(descriptor)
        if len(asked) > 1:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("visage.cli.files.os.fsync", full)
    result = run(folder, "-o", out)

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: The disk of {out} is full. Free some space, then run the same command to continue.\n"
    )
    assert (len(asked), len(result.stdout.splitlines())) == (2, 1)


def test_a_picture_that_would_become_too_large_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path
) -> None:
    monkeypatch.setenv("VISAGE_MAX_ENHANCE_PIXELS", "1000")

    result = run(folder / "one.png", "-o", out)

    assert result.exit_code == 1
    assert "384 x 384 pixels; at most 1,000 in all are accepted" in result.stderr


def test_json_is_one_line_a_picture(folder: Path, out: Path) -> None:
    (folder / "bad.png").write_bytes(b"no picture")

    result = run(folder / "one.png", folder / "bad.png", "-o", out, "--json")

    good, bad = map(json.loads, result.stdout.splitlines())
    assert good["photo"] == str(folder / "one.png")
    assert good["image"] == {"width": 1152, "height": 1152, "format": "PNG"}
    assert (good["scale"], good["model"]["pack"]) == (3, "small-luma")
    assert good["timings_ms"].keys() == {"wait", "decode", "enlarge", "encode"}
    assert (bad["photo"], bad["code"]) == (str(folder / "bad.png"), "unsupported_type")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("VISAGE_SUPERRES_PACK", "nowhere", "There is no model pack 'nowhere'"),
        ("VISAGE_SUPERRES_PACK", "classic", "The pack classic has no net that enlarges"),
        ("VISAGE_TILE", "4", "VISAGE_TILE is 4; for an overlap of 2 it must be 8 or more"),
        ("VISAGE_TILE", "large", "it must be a whole number from 1 to 8192"),
    ],
)
def test_a_setup_that_cannot_work_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)

    result = run(folder, "-o", out)

    assert result.exit_code == 2
    assert said in result.stderr
    assert not out.exists()


def test_nets_for_faces_are_not_asked_for(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path) -> None:
    monkeypatch.setenv("VISAGE_PACK", "nowhere")

    assert run(folder, "-o", out).exit_code == 0


def test_originals_are_never_written_over(folder: Path) -> None:
    result = run(folder / "one.png", "-o", folder)

    assert result.exit_code == 2
    assert "has other files; choose a new or an empty directory" in result.stderr


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    yield ours, its
    os.close(ours)


def test_a_terminal_shows_how_many_tiles_of_a_large_picture_are_done(
    tmp_path: Path, out: Path, terminal: tuple[int, int]
) -> None:
    photo = tmp_path / "large.png"
    photo.write_bytes(cv2.imencode(".png", np.zeros((1000, 1500, 3), np.uint8))[1].tobytes())
    ours, its = terminal

    command = [sys.executable, "-m", "visage.cli", "enhance", str(photo), "-o", str(out)]
    with subprocess.Popen(command, stderr=its, stdout=subprocess.DEVNULL) as process:
        os.close(its)
        shown = _read_all(ours)

    assert process.returncode == 0
    # Tiles of 64 pixels of which 60 are kept.
    assert "large.png" in shown
    assert " 0/440 " in shown
    assert "441/" not in shown


def _read_all(ours: int) -> str:
    """All that is written to a terminal until nobody has it open any more."""
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:
            return shown.decode()


def test_a_pack_that_only_enlarges_is_fetched_for_its_own_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_luma_pack(tmp_path / "small-luma")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = CliRunner().invoke(main, ["models", "fetch", "small-luma"])

    assert result.exit_code == 0
    assert result.stdout.endswith("Use it with VISAGE_SUPERRES_PACK=small-luma.\n")


def test_a_pack_that_only_enlarges_is_listed_and_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pack = write_luma_pack(tmp_path / "small-luma")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    whole = CliRunner().invoke(main, ["models", "verify", "small-luma"])
    (pack / "net.prototxt").write_text("altered")
    torn = CliRunner().invoke(main, ["models", "verify", "small-luma"])
    listed = CliRunner().invoke(main, ["models", "list"])

    assert (whole.exit_code, torn.exit_code) == (0, 1)
    assert "net.prototxt is altered" in torn.stdout
    assert "small-luma 1 (complete)" in listed.stdout
    assert "edsr 1 (1 of 1 files missing: visage models fetch edsr)" in listed.stdout
