"""`visage anonymize`: the options, the copies and the output lines."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.helpers import anonymize, start_anonymize, write
from tests.support.pictures import GIF
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.results import Anonymized
from visage.faces.search import Detail
from visage.runtime.engine import Engine

pytestmark = pytest.mark.usefixtures("plain_environment")


def test_the_faces_in_a_copy_are_redacted(
    folder: Path, out: Path, tiny_png: bytes, redacted: bytes, face_count: int
) -> None:
    photo = write(folder / "photo.png", tiny_png)

    result = anonymize(photo, "-o", out)

    assert result.exit_code == 0
    assert result.stdout == f"{photo}: {face_count} faces anonymized\n"
    assert result.stderr == f"1 photo done, {face_count} faces anonymized.\n"
    assert redacted != tiny_png
    assert (out / "photo.png").read_bytes() == redacted
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
def test_options_choose_the_redaction_mask_and_the_faces(
    folder: Path,
    out: Path,
    engine: Engine,
    tiny_png: bytes,
    redacted: bytes,
    arguments: tuple[object, ...],
    options: AnonymizeOptions,
) -> None:
    photo = write(folder / "photo.png", tiny_png)

    anonymize(photo, "-o", out, *arguments)

    content = (out / "photo.png").read_bytes()
    assert content == engine.anonymize(tiny_png, options).picture
    assert content != redacted


@pytest.mark.parametrize(("arguments", "detail"), [((), Detail.HIGH), (("--detail", "fast"), Detail.FAST)])
def test_the_default_detail_is_high(
    folder: Path,
    out: Path,
    tiny_png: bytes,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[object, ...],
    detail: Detail,
) -> None:
    passed: list[AnonymizeOptions] = []
    original = Engine.anonymize

    def record(self: Engine, data: bytes, options: AnonymizeOptions) -> Anonymized:
        passed.append(options)
        return original(self, data, options)

    monkeypatch.setattr(Engine, "anonymize", record)
    anonymize(write(folder / "photo.png", tiny_png), "-o", out, *arguments)

    assert [options.detail for options in passed] == [detail]


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
def test_invalid_options_are_rejected(folder: Path, out: Path, tiny_png: bytes, arguments: tuple[str, str]) -> None:
    write(folder / "photo.png", tiny_png)

    assert anonymize(folder, "-o", out, *arguments).exit_code == 2
    assert not out.exists()


def test_an_image_of_a_rejected_type_fails_whatever_its_name(folder: Path, out: Path) -> None:
    photo = write(folder / "IMG_0001", GIF)

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {photo}: GIF is not accepted" in result.stderr


def test_json_is_one_line_per_file(folder: Path, out: Path, tiny_png: bytes, face_count: int) -> None:
    good, bad = write(folder / "a.png", tiny_png), write(folder / "b.jpg", b"no picture")

    result = anonymize(folder, "-o", out, "--json", "--jobs", 1)

    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["photo"], first["copy"], len(first["faces"])) == (str(good), str(out / "a.png"), face_count)
    assert first["model"] == {"pack": "tiny", "version": "1"}
    assert (second["photo"], second["code"]) == (str(bad), "unsupported_type")
    assert result.exit_code == 1


def test_names_that_are_not_valid_text_are_printed(folder: Path, out: Path, tiny_png: bytes, redacted: bytes) -> None:
    good, bad = os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"bad\xe9.jpg")
    write(folder / good, tiny_png)
    write(folder / bad, b"no picture")

    for arguments in ((), ("--again", "--json")):
        with start_anonymize(folder, "-o", out, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, error = process.communicate(timeout=60)

        assert process.returncode == 1
        assert b"caf\\udce9.png" in output
        assert b"bad\\udce9.jpg: This kind of file is not accepted" in error
        assert b"Traceback" not in error
    assert (out / good).read_bytes() == redacted


def test_the_modification_time_of_the_original_is_not_copied(folder: Path, out: Path, tiny_png: bytes) -> None:
    photo = write(folder / "a.png", tiny_png)
    os.utime(photo, (1_000_000_000, 1_000_000_000))

    anonymize(folder, "-o", out)

    assert abs((out / "a.png").stat().st_mtime - time.time()) < 100


def test_an_empty_directory_is_not_a_failure(folder: Path, out: Path) -> None:
    result = anonymize(folder, "-o", out)

    assert result.exit_code == 0
    assert result.stderr == "No photos found.\n"


def test_an_unusable_setting_is_reported_in_one_sentence(
    folder: Path, out: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.png", tiny_png)
    monkeypatch.setenv("VISAGE_PACK", "no-such-pack")

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There is no model pack 'no-such-pack'")
    assert not out.exists()
