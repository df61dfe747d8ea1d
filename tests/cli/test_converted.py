"""Photos in formats that are not written get copies with another suffix, and never replace another copy."""

import json
from pathlib import Path

import pytest

from tests.cli.helpers import anonymize, files, run, write
from tests.support.heif import encode_heic
from tests.support.pictures import encode, gradient

pytestmark = pytest.mark.usefixtures("plain_environment")

HEIC = encode_heic(gradient(64, 96))
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG"


def test_copies_have_the_suffix_of_their_format(folder: Path, out: Path) -> None:
    write(folder / "IMG_1.HEIC", HEIC)
    write(folder / "sub" / "a.avif", encode(gradient(64, 96), "AVIF"))
    write(folder / "scan.tif", encode(gradient(64, 96), "TIFF"))

    assert anonymize(folder, "-o", out).exit_code == 0

    assert files(out) == {"IMG_1.jpg", "sub/a.jpg", "scan.png"}
    assert (out / "IMG_1.jpg").read_bytes().startswith(JPEG_START)
    assert (out / "sub" / "a.jpg").read_bytes().startswith(JPEG_START)
    assert (out / "scan.png").read_bytes().startswith(PNG_START)


def test_a_copy_gets_a_number_if_its_name_is_taken(folder: Path, out: Path, tiny_jpeg: bytes) -> None:
    write(folder / "IMG_1.HEIC", HEIC)
    write(folder / "IMG_1.avif", encode(gradient(64, 96), "AVIF"))
    write(folder / "img_1.JPG", tiny_jpeg)

    assert anonymize(folder, "-o", out).exit_code == 0

    assert files(out) == {"img_1.JPG", "IMG_1 (2).jpg", "IMG_1 (3).jpg"}


def test_existing_copies_are_skipped(folder: Path, out: Path) -> None:
    write(folder / "a.heic", HEIC)
    anonymize(folder, "-o", out)

    assert "1 existing copy skipped" in anonymize(folder, "-o", out).stderr


def test_a_file_that_is_only_named_like_one_keeps_its_name(folder: Path, out: Path, tiny_png: bytes) -> None:
    write(folder / "a.heic", tiny_png)

    assert anonymize(folder, "-o", out).exit_code == 0

    assert files(out) == {"a.heic"}


def test_json_names_both_files(folder: Path, out: Path) -> None:
    photo = write(folder / "a.heic", HEIC)

    line = json.loads(anonymize(folder, "-o", out, "--json").stdout)

    assert (line["photo"], line["copy"]) == (str(photo), str(out / "a.jpg"))
    assert (line["image"]["format"], line["image"]["original_format"]) == ("JPEG", "HEIC")


def test_a_bad_heic_fails_alone(folder: Path, out: Path) -> None:
    write(folder / "a.heic", HEIC)
    bad = write(folder / "b.heic", HEIC[:-50])

    result = anonymize(folder, "-o", out)

    assert result.exit_code == 1
    assert f"  {bad}: The image is cut short" in result.stderr
    assert files(out) == {"a.jpg"}


def test_enlarged_copies_have_the_suffix_of_their_format(folder: Path, out: Path) -> None:
    write(folder / "a.heic", HEIC)

    assert run("enhance", folder, "-o", out).exit_code == 0

    assert files(out) == {"a.jpg"}
