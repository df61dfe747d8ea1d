"""Packs: reading manifests, verifying files, and the messages for errors."""

import re
from pathlib import Path

import pytest

from tests.support.enhance_packs import write_edsr_pack, write_luma_pack
from tests.support.tiny_pack import write_tiny_pack
from visage.errors import PackError
from visage.packs.files import PackFile
from visage.packs.pack import FaceSpec, find_pack, pack_folders, read_pack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_pack(tmp_path / "tiny")


def edit(folder: Path, pattern: str, replacement: str) -> None:
    """Change the first match of `pattern` in the manifest."""
    manifest = folder / "pack.toml"
    text, count = re.subn(pattern, replacement, manifest.read_text(), count=1, flags=re.MULTILINE | re.DOTALL)
    assert count == 1
    manifest.write_text(text)


def test_a_manifest_becomes_a_pack(folder: Path) -> None:
    pack = read_pack(folder)

    assert (pack.name, pack.version) == ("tiny", "1")
    assert pack.face.input == (96, 96)
    assert pack.face.min_confidence == 0.5
    assert pack.gender.labels == ("Male", "Female")
    assert pack.age.ranges == ((0, 9), (10, 49), (50, 99))


def test_a_pack_lists_its_six_files_in_order(folder: Path) -> None:
    names = [file.path.name for file in read_pack(folder).files]

    assert names == [f"{role}.{kind}" for role in ("face", "gender", "age") for kind in ("prototxt", "caffemodel")]


def test_a_valid_file_is_returned_unchanged(folder: Path) -> None:
    file = read_pack(folder).gender.weights

    assert file.read() == (folder / "gender.caffemodel").read_bytes()


def test_a_missing_file_is_reported_with_its_checksum_and_a_command(folder: Path) -> None:
    (folder / "age.caffemodel").unlink()

    with pytest.raises(PackError) as caught:
        read_pack(folder).age.weights.read()

    assert "age.caffemodel is missing; expected sha256 " in str(caught.value)
    assert f"visage models verify {folder}" in str(caught.value)


def test_an_altered_file_is_reported_with_both_checksums(folder: Path) -> None:
    weights = folder / "face.caffemodel"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    file = read_pack(folder).face.weights

    with pytest.raises(PackError) as caught:
        file.read()

    assert f"is altered: sha256 {file.digest(bytes(content))}; expected sha256 {file.checksum}" in str(caught.value)


def test_a_truncated_file_is_reported_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "classic" / "age.caffemodel"
    path.parent.mkdir()
    path.write_bytes(b"x" * 100)
    file = PackFile(path, "sha256", "0" * 64, url="https://example.org/age.caffemodel", size=1000)

    with pytest.raises(PackError, match=r"cut short: 100 of 1,000 bytes\. Run: visage models fetch classic"):
        file.read()


def test_a_git_blob_checksum_is_that_of_git() -> None:
    file = PackFile(Path("hello.txt"), "git_blob", "")

    # `printf 'hello\n' | git hash-object --stdin`
    assert file.digest(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r'^name = "tiny"', "", "name is missing; it must be text"),
        (r"^\[face\].*?(?=^\[gender\])", "", "face is missing; it must be a table"),
        (r"^input = \[96, 96\]", "input = [96]", r"[face] input is [96]; it must be a list of 2 whole numbers"),
        (r"^input = \[96, 96\]", "input = [96, 0]", "[face] input is [96, 0]; it must be two sizes from 1 to 4096"),
        (r"^swap_rb = false", 'swap_rb = "no"', "[face] swap_rb is 'no'; it must be true or false"),
        (r"^scale = 0\S+", "scale = 0", "[face] scale is 0; it must be a number above 0"),
        (r"^mean = \[127.5, ", "mean = [", "[face] mean is [127.5, 127.5]; it must be a list of 3 numbers"),
        (r"^min_confidence = 0.5", "min_confidence = 5", "[face] min_confidence is 5; it must be a number above 0"),
        (
            r"^min_confidence",
            "strides = []\nmin_confidence",
            "[face] strides is []; it must be at least one whole number",
        ),
        (r"^min_confidence", "strides = [0]\nmin_confidence", "[face] strides is [0]; it must be at least one whole"),
        (
            r"^min_confidence",
            "strides = [8, 8]\nmin_confidence",
            "it must be at least one whole number of pixels, each",
        ),
        (r"^min_confidence", "strides = 8\nmin_confidence", "[face] strides is 8; it must be a list of whole numbers"),
        (r'^labels = \["Male", "Female"\]', "labels = []", "[gender] labels is []; it must be at least one label"),
        (r"^ranges = .*", "ranges = [[0, 9]]", "it must be as many pairs as there are labels (3)"),
        (r"^ranges = .*", "ranges = [[9, 0], [1, 2], [3, 4]]", "it must be a list of [first, last] years"),
        (r'^prototxt = "face', 'prototxt = "../face', "it must be a file name without a folder"),
        (r'^sha256 = "\w+"', "", "[face] sha256 is missing; it must be the SHA-256 of the file"),
        (r'^name = "tiny"', "name = ", "cannot be read"),
        (r'^name = "tiny"', 'name = "../../outside"', "name is '../../outside'; it must be a name without a folder"),
        (r'^name = "tiny"', 'name = "/absolute"', "it must be a name without a folder"),
        (r'^name = "tiny"', 'name = ".."', "it must be a name without a folder"),
        (r'^weights = "face.caffemodel"', 'weights = ".."', "it must be a file name without a folder"),
        (r"^mean = \[127.5", "mean = [nan", "it must be a list of 3 numbers"),
        (r"^scale = 0\S+", "scale = inf", "it must be a number above 0"),
        (r"^input = \[96, 96\]", "input = [96, 100000]", "it must be two sizes from 1 to 4096 pixels"),
        (r'^labels = \["Male", "Female"\]', 'labels = ["Male", "Male"]', "each with a name of its own"),
        (r'^labels = \["Male", "Female"\]', 'labels = ["Male", ""]', "each with a name of its own"),
        (r"^ranges = .*", "ranges = [[false, true], [1, 2], [3, 4]]", "it must be a list of [first, last] years"),
    ],
)
def test_an_invalid_manifest_is_reported_with_the_key_and_its_valid_values(
    folder: Path, pattern: str, replacement: str, message: str
) -> None:
    edit(folder, pattern, replacement)

    with pytest.raises(PackError) as caught:
        read_pack(folder)

    assert message in str(caught.value)
    assert str(folder / "pack.toml") in str(caught.value)


def test_a_pack_is_found_by_name_under_the_models_directory(folder: Path) -> None:
    pack = find_pack("tiny", folder.parent)

    assert pack.folder == folder


def test_a_pack_is_found_by_path(folder: Path) -> None:
    pack = find_pack(str(folder), Path("/nowhere"))

    assert pack.folder == folder


def test_bundled_packs_are_found_from_any_models_directory(tmp_path: Path) -> None:
    assert find_pack("classic", tmp_path).name == "classic"


def test_an_unknown_pack_is_reported_with_the_names_of_those_that_exist(folder: Path) -> None:
    with pytest.raises(PackError, match=r"no model pack 'compakt'.*Packs here: classic, .*tiny.*Set VISAGE_PACK"):
        find_pack("compakt", folder.parent)


def test_a_models_directory_hides_the_bundled_pack_of_the_same_name(tmp_path: Path) -> None:
    own = write_tiny_pack(tmp_path / "classic")

    assert own in pack_folders(tmp_path)
    assert find_pack("classic", tmp_path).folder == own


def face_with(line: str, tiny_pack: Path, folder: Path) -> FaceSpec:
    """The face net of the tiny pack with a further line in its table of the manifest."""
    manifest = (tiny_pack / "pack.toml").read_text().replace("min_confidence = 0.5", f"min_confidence = 0.5\n{line}")
    (folder / "pack.toml").write_text(manifest)
    return read_pack(folder).face


@pytest.mark.parametrize(("line", "expected"), [("", 8), ("smallest_face = 14", 14), ("smallest_face = 10.5", 10.5)])
def test_the_smallest_face_is_a_twelfth_of_the_input_by_default(
    tiny_pack: Path, tmp_path: Path, line: str, expected: float
) -> None:
    assert face_with(line, tiny_pack, tmp_path).smallest_face == expected


@pytest.mark.parametrize(
    ("line", "expected"), [("", 0.25), ("redaction_confidence = 0.4", 0.4), ("guard_confidence = 0.3", 0.3)]
)
def test_faces_are_redacted_from_half_of_the_confidence_threshold_by_default(
    tiny_pack: Path, tmp_path: Path, line: str, expected: float
) -> None:
    assert face_with(line, tiny_pack, tmp_path).redaction_confidence == expected


@pytest.mark.parametrize("value", ["0", "-1", "97", "true", '"small"'])
def test_an_invalid_smallest_face_is_rejected(tiny_pack: Path, tmp_path: Path, value: str) -> None:
    with pytest.raises(PackError, match=r"\[face\] smallest_face is .*; it must be a number above 0 and at most 96"):
        face_with(f"smallest_face = {value}", tiny_pack, tmp_path)


def test_a_pack_may_have_a_super_resolution_net_only(tmp_path: Path) -> None:
    pack = read_pack(write_edsr_pack(tmp_path))

    assert [file.path.name for file in pack.files] == ["net.pb"]
    assert (pack.enhance.scale, pack.enhance.colour, pack.enhance.white) == (3, "bgr", 255)
    assert pack.enhance.mean == (103.0, 111.5, 114.25)
    with pytest.raises(PackError, match=r"The pack small-edsr has no nets for faces; set VISAGE_PACK to another"):
        _ = pack.face


def test_a_pack_may_have_nets_for_faces_and_for_super_resolution(folder: Path, tmp_path: Path) -> None:
    own = write_luma_pack(tmp_path / "luma")
    for file in own.glob("net.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    table = (own / "pack.toml").read_text().split("[superres]")[1]
    with (folder / "pack.toml").open("a") as manifest:
        manifest.write(f"\n[superres]{table}")

    pack = read_pack(folder)

    assert [file.path.name for file in pack.files][5:] == ["age.caffemodel", "net.prototxt", "net.caffemodel"]
    assert pack.enhance.mean == (0.0,)
    assert pack.gender.labels == ("Male", "Female")


def test_a_pack_for_super_resolution_has_all_nets_for_faces_or_none(folder: Path) -> None:
    edit(folder, r"^\[age\].*", "[superres]")

    with pytest.raises(PackError, match="age is missing; it must be a table"):
        read_pack(folder)


@pytest.mark.parametrize(("line", "overlap"), [("", 7), ("overlap = 3", 3), ("overlap = 0", 0)])
def test_the_overlap_is_the_reach_by_default(tmp_path: Path, line: str, overlap: int) -> None:
    edit(write_edsr_pack(tmp_path), r"^reach = 7", f"reach = 7\n{line}")

    assert read_pack(tmp_path).enhance.overlap == overlap


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^scale = 3", "scale = 5", "[superres] scale is 5; it must be a whole number from 2 to 4"),
        (r"^scale = 3", "scale = 1", "[superres] scale is 1; it must be a whole number from 2 to 4"),
        (r'^colour = "bgr"', 'colour = "rgb"', "[superres] colour is 'rgb'; it must be luma or bgr"),
        (r"^white = 255.0", "white = 0", "[superres] white is 0; it must be a number above 0"),
        (r"^mean = .*?$", "mean = [1.0]", "[superres] mean is [1.0]; it must be a list of 3 numbers"),
        (r"^reach = 7", "", "[superres] reach is missing; it must be a whole number"),
        (r"^reach = 7", "reach = 7\noverlap = 8", "overlap is 8; it must be a whole number from 0 to 7"),
        (r"^reach = 7", "reach = 7\npadding = 8", "padding is 8; it must be a whole number from 0 to 7"),
        (r"^reach = 7", "reach = 7\ntile = 0", "tile is 0; it must be a whole number from 1 to 8192"),
        (r'^weights = "net.pb"', 'weights = "../net.pb"', "it must be a file name without a folder"),
    ],
)
def test_an_invalid_super_resolution_table_is_rejected(
    tmp_path: Path, pattern: str, replacement: str, message: str
) -> None:
    edit(write_edsr_pack(tmp_path), pattern, replacement)

    with pytest.raises(PackError) as caught:
        read_pack(tmp_path)

    assert message in str(caught.value)


def test_the_edsr_pack_has_the_official_file_and_preprocessing(tmp_path: Path) -> None:
    pack = find_pack("edsr", tmp_path)

    (file,) = pack.files
    assert (file.path.name, file.size, file.algorithm, file.checksum) == (
        "EDSR_x3.pb",
        38_524_784,
        "git_blob",
        "9b9082ceca0d5a2fc6d6bae7456e2c7934b3aa4d",
    )
    assert file.url == "https://github.com/Saafke/EDSR_Tensorflow/raw/master/models/EDSR_x3.pb"
    assert (pack.enhance.scale, pack.enhance.colour, pack.enhance.white) == (3, "bgr", 255)
    assert pack.enhance.mean == (103.1545782, 111.561547, 114.35629928)
    # 32 blocks of two convolutions, and three more.
    assert pack.enhance.reach == 67
