"""`visage enhance`: copies in an output directory, failures with their reason, and a progress bar per image."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from tests.cli.helpers import read_terminal, run
from tests.support.enhance_packs import write_luma_pack
from visage.runtime.enhancer import Enhancer
from visage.settings import Settings


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_luma_pack(tmp_path_factory.mktemp("superres") / "luma")


@pytest.fixture(autouse=True)
def enhance_pack_in_use(plain_environment: None, monkeypatch: pytest.MonkeyPatch, pack: Path) -> None:
    monkeypatch.setenv("VISAGE_SUPERRES_PACK", str(pack))


@pytest.fixture
def folder(tmp_path: Path, tiny_png: bytes, tiny_jpeg: bytes) -> Path:
    """Two photos, one of them in a directory, and a text file."""
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "photos" / "one.png").write_bytes(tiny_png)
    (tmp_path / "photos" / "inner" / "two.jpg").write_bytes(tiny_jpeg)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return tmp_path / "photos"


def enhance(*arguments: object) -> Result:
    return run("enhance", *arguments)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_copy_is_enlarged_by_the_net(folder: Path, out: Path, pack: Path, tiny_png: bytes) -> None:
    result = enhance(folder / "one.png", "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'one.png'}: 1152 x 1152\n"
    assert (out / "one.png").read_bytes() == Enhancer(Settings(enhance_pack=str(pack))).enhance(tiny_png).picture


def test_a_directory_keeps_its_tree_and_other_files_are_skipped(folder: Path, out: Path) -> None:
    result = enhance(folder, "-o", out)

    assert result.exit_code == 0
    assert size_of(out / "one.png") == (1152, 1152)
    assert size_of(out / "inner" / "two.jpg") == (1152, 1152)
    assert not (out / "notes.txt").exists()
    assert result.stderr == "1 file skipped: not images, or links to directories.\n"


def test_existing_copies_are_skipped_without_again(folder: Path, out: Path) -> None:
    enhance(folder, "-o", out)

    second, again = enhance(folder, "-o", out), enhance(folder, "-o", out, "--again")

    assert (second.exit_code, second.stdout) == (0, "")
    assert second.stderr.startswith("2 existing copies skipped; --again replaces them.\n")
    assert len(again.stdout.splitlines()) == 2


def test_broken_files_fail_alone_and_have_no_copy(folder: Path, out: Path, tiny_png: bytes) -> None:
    (folder / "cut.png").write_bytes(tiny_png[: len(tiny_png) // 2])

    result = enhance(folder, folder / "gone.png", "-o", out)

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
    syncs: list[int] = []

    def fail_when_full(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) > 1:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("visage.cli.files.os.fsync", fail_when_full)
    result = enhance(folder, "-o", out)

    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: The disk of {out} is full. Free some space, then run the same command again.\n"
    )
    assert (len(syncs), len(result.stdout.splitlines())) == (2, 1)


def test_an_image_that_would_become_too_large_fails(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path) -> None:
    monkeypatch.setenv("VISAGE_MAX_ENHANCE_PIXELS", "1000")

    result = enhance(folder / "one.png", "-o", out)

    assert result.exit_code == 1
    assert "384 x 384 pixels; at most 1,000 in all are accepted" in result.stderr


def test_a_copy_can_be_enlarged_less(folder: Path, out: Path) -> None:
    result = enhance(folder / "one.png", "-o", out, "--scale", "1.5")

    assert result.exit_code == 0
    assert size_of(out / "one.png") == (576, 576)


def test_an_image_that_fits_at_a_smaller_scale_is_read_to_offer_it(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path
) -> None:
    monkeypatch.setenv("VISAGE_MAX_ENHANCE_PIXELS", "70000")

    result = enhance(folder / "one.png", "-o", out, "--json")

    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["error"].endswith(
        "Send a smaller version, or choose scale=2. VISAGE_MAX_ENHANCE_PIXELS changes this limit."
    )
    assert line["max_scale"] == 2


def test_json_is_one_line_per_image(folder: Path, out: Path) -> None:
    (folder / "bad.png").write_bytes(b"no picture")

    result = enhance(folder / "one.png", folder / "bad.png", "-o", out, "--json")

    good, bad = map(json.loads, result.stdout.splitlines())
    assert good["photo"] == str(folder / "one.png")
    assert good["image"] == {"width": 1152, "height": 1152, "format": "PNG", "original_format": "PNG"}
    assert (good["scale"], good["model"]["pack"]) == (3, "small-luma")
    assert good["timings_ms"].keys() == {"wait", "decode", "enlarge", "encode"}
    assert (bad["photo"], bad["code"]) == (str(folder / "bad.png"), "unsupported_type")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("VISAGE_SUPERRES_PACK", "nowhere", "There is no model pack 'nowhere'"),
        ("VISAGE_SUPERRES_PACK", "classic", "The pack classic has no super-resolution net"),
        ("VISAGE_TILE", "4", "VISAGE_TILE is 4; for an overlap of 2 it must be 8 or more"),
        ("VISAGE_TILE", "large", "it must be a whole number from 1 to 8192"),
    ],
)
def test_an_unusable_setting_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)

    result = enhance(folder, "-o", out)

    assert result.exit_code == 2
    assert message in result.stderr
    assert not out.exists()


def test_the_face_pack_is_not_needed(monkeypatch: pytest.MonkeyPatch, folder: Path, out: Path) -> None:
    monkeypatch.setenv("VISAGE_PACK", "nowhere")

    assert enhance(folder, "-o", out).exit_code == 0


def test_originals_are_never_overwritten(folder: Path) -> None:
    result = enhance(folder / "one.png", "-o", folder)

    assert result.exit_code == 2
    assert "has other files; choose a new or an empty directory" in result.stderr


def test_a_terminal_shows_how_many_tiles_of_an_image_are_done(
    tmp_path: Path, out: Path, terminal: tuple[int, int]
) -> None:
    photo = tmp_path / "large.png"
    photo.write_bytes(cv2.imencode(".png", np.zeros((1000, 1500, 3), np.uint8))[1].tobytes())
    test_end, process_end = terminal

    command = [sys.executable, "-m", "visage.cli", "enhance", str(photo), "-o", str(out)]
    with subprocess.Popen(command, stderr=process_end, stdout=subprocess.DEVNULL) as process:
        os.close(process_end)
        shown = read_terminal(test_end)

    assert process.returncode == 0
    # Tiles of 64 pixels, of which the inner 60 are kept.
    assert "large.png" in shown
    assert " 0/440 " in shown
    assert "441/" not in shown


def test_fetching_a_super_resolution_pack_names_its_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_luma_pack(tmp_path / "small-luma")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    result = run("models", "fetch", "small-luma")

    assert result.exit_code == 0
    assert result.stdout.endswith("Use it with VISAGE_SUPERRES_PACK=small-luma.\n")


def test_a_super_resolution_pack_is_listed_and_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pack = write_luma_pack(tmp_path / "small-luma")
    monkeypatch.setenv("VISAGE_MODELS_DIR", str(tmp_path))

    intact = run("models", "verify", "small-luma")
    (pack / "net.prototxt").write_text("altered")
    altered = run("models", "verify", "small-luma")
    listed = run("models", "list")

    assert (intact.exit_code, altered.exit_code) == (0, 1)
    assert "net.prototxt is altered" in altered.stdout
    assert "small-luma 1 (complete)" in listed.stdout
    assert "edsr 1 (1 of 1 files missing: visage models fetch edsr)" in listed.stdout
