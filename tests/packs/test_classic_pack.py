"""The manifest of the bundled `classic` pack has the values that its authors published."""

import pytest

from visage.directories import BUNDLED_MODELS
from visage.packs.pack import Pack, read_pack

DETECTOR_OF_2017 = "https://github.com/opencv/opencv_3rdparty/raw/dnn_samples_face_detector_20170830"
MODELS_OF_2015 = "https://github.com/GilLevi/AgeGenderDeepLearning/raw/master/models"
DEFINITIONS_OF_2015 = "https://raw.githubusercontent.com/GilLevi/AgeGenderDeepLearning/master"

# Name, size, algorithm, checksum and URL, confirmed by several public sources.
CLASSIC_FILES = [
    (
        "face.prototxt",
        28_104,
        "sha256",
        "dcd661dc48fc9de0a341db1f666a2164ea63a67265c7f779bc12d6b3f2fa67e9",
        "https://raw.githubusercontent.com/opencv/opencv/4.11.0/samples/dnn/face_detector/deploy.prototxt",
    ),
    (
        "face.caffemodel",
        10_666_211,
        "sha256",
        "2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
        f"{DETECTOR_OF_2017}/res10_300x300_ssd_iter_140000.caffemodel",
    ),
    (
        "gender.prototxt",
        2_309,
        "sha256",
        "7379953e048e5bffad9dfc6b3a8807f7fc826e2f27432df56d4c2670784b8e78",
        f"{DEFINITIONS_OF_2015}/gender_net_definitions/deploy.prototxt",
    ),
    (
        "gender.caffemodel",
        45_649_168,
        "git_blob",
        "87862497f48764ea24eb162c21f542c2e007311e",
        f"{MODELS_OF_2015}/gender_net.caffemodel",
    ),
    (
        "age.prototxt",
        2_308,
        "sha256",
        "f58b73e2e20766f54c583cb1a9404f45dab8901773da6864d94b63212ed37ca0",
        f"{DEFINITIONS_OF_2015}/age_net_definitions/deploy.prototxt",
    ),
    (
        "age.caffemodel",
        45_661_480,
        "git_blob",
        "8391af479b658b9f4f3ace7eec6be86aae079309",
        f"{MODELS_OF_2015}/age_net.caffemodel",
    ),
]

CLASSIC_NETS = {
    "face": {"input": (300, 300), "mean": (104.0, 177.0, 123.0), "scale": 1.0, "swap_rb": False},
    "gender": {
        "input": (227, 227),
        "mean": (78.4263377603, 87.7689143744, 114.895847746),
        "scale": 1.0,
        "swap_rb": False,
        "labels": ("Male", "Female"),
    },
    "age": {
        "input": (227, 227),
        "mean": (78.4263377603, 87.7689143744, 114.895847746),
        "scale": 1.0,
        "swap_rb": False,
        "labels": ("(0-2)", "(4-6)", "(8-12)", "(15-20)", "(25-32)", "(38-43)", "(48-53)", "(60-100)"),
        "ranges": ((0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100)),
    },
}


@pytest.fixture
def classic() -> Pack:
    return read_pack(BUNDLED_MODELS / "classic")


def test_the_classic_pack_has_the_published_files(classic: Pack) -> None:
    assert [
        (file.path.name, file.size, file.algorithm, file.checksum, file.url) for file in classic.files
    ] == CLASSIC_FILES


@pytest.mark.parametrize("role", ["face", "gender", "age"])
def test_the_classic_nets_have_the_preprocessing_and_labels_of_their_authors(classic: Pack, role: str) -> None:
    expected = CLASSIC_NETS[role]

    assert {key: getattr(getattr(classic, role), key) for key in expected} == expected


def test_the_classic_pack_says_that_the_licence_is_unknown(classic: Pack) -> None:
    assert {file.licence for file in classic.files if file.path.name.startswith(("age", "gender"))} == {
        "not stated by its authors"
    }
