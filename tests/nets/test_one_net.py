"""A pack may have one net for gender and age, with an output for each."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from tests.support.one_net_pack import write_one_net_pack
from tests.support.tiny_pack import TINY_FACES, draw
from visage.errors import PackError
from visage.nets import classifier
from visage.nets.classifier import Classifier, classify_by_all, read_classifiers
from visage.packs.pack import Pack, read_pack

BOXES = np.array(list(TINY_FACES), np.float32)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return read_pack(write_one_net_pack(tmp_path / "pack"))


def test_it_answers_as_two_nets_do(pack: Pack, tiny_pack: Path) -> None:
    two = read_pack(tiny_pack)
    pixels = draw(faces=TINY_FACES)

    one_net = classify_by_all(read_classifiers(pack.gender, pack.age), pixels, BOXES)
    two_nets = classify_by_all(read_classifiers(two.gender, two.age), pixels, BOXES)

    for together, alone in zip(one_net, two_nets, strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-6)


def test_it_is_read_once_and_runs_once_a_face(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = Mock(wraps=classifier.infer_together)
    monkeypatch.setattr(classifier, "infer_together", infer)

    gender, age = read_classifiers(pack.gender, pack.age)
    classify_by_all((gender, age), draw(faces=TINY_FACES), BOXES)

    assert gender.net is age.net
    assert infer.call_count == len(BOXES)


def test_other_crops_get_a_run_of_their_own(pack: Pack) -> None:
    pixels = draw(faces=TINY_FACES)
    wider = replace(pack.age, crop_scale=2.0)

    _, ages = classify_by_all(read_classifiers(pack.gender, wider), pixels, BOXES)

    np.testing.assert_array_equal(ages, Classifier(wider).classify(pixels, BOXES))


def test_two_nets_stay_two(tiny_pack: Path) -> None:
    two = read_pack(tiny_pack)

    gender, age = read_classifiers(two.gender, two.age)

    assert isinstance(gender.net, cv2.dnn.Net)
    assert gender.net is not age.net


def test_an_output_that_the_net_lacks_is_named(pack: Pack) -> None:
    with pytest.raises(PackError, match=r"attributes\.prototxt has no layer race"):
        Classifier(replace(pack.gender, output="race"))


def test_its_files_are_listed_once(pack: Pack) -> None:
    names = [file.path.name for file in pack.files]

    assert sorted(names) == sorted(set(names))
    assert pack.gender.weights in pack.files
