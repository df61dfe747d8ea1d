"""Scenes: the split into training and unseen scenes, and the composed training images."""

import numpy as np
import pytest

from training.faces import CHIP
from training.scenes import Composer, Scene, split


@pytest.fixture
def scenes() -> list[Scene]:
    """Six hundred synthetic scenes of every kind, some with two faces."""
    none = np.empty((0, 4), np.float32)
    two = np.array([[10, 10, 40, 50], [60, 20, 90, 60]], np.float32)
    pixels = np.full((120, 160, 3), 90, np.uint8)
    kinds = ("photo", "people", "cctv", "nature", "indoor")
    return [
        Scene(
            f"{kind}_{index:05}.jpg", pixels, two if kind in ("photo", "people") and index % 2 else none, none, two[:1]
        )
        for kind in kinds
        for index in range(120)
    ]


def test_unseen_scenes_are_not_trained_on(scenes: list[Scene]) -> None:
    training_scenes, unseen = split(scenes)

    names = [scene.name for part in unseen.values() for scene in part]
    assert len(names) == len(set(names)) > 0
    assert not {scene.name for scene in training_scenes} & set(names)
    assert len(training_scenes) + len(names) == len(scenes)
    assert [scene.name for scene in unseen["photo"]] == [f"photo_{index:05}.jpg" for index in range(20, 120)]


def test_training_images_are_the_same_for_the_same_seed(scenes: list[Scene]) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (4, CHIP, CHIP, 3), np.uint8)
    training_scenes, _ = split(scenes)

    first, second = (Composer(training_scenes, chips, 160).compose(np.random.default_rng(5)) for _ in range(2))

    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.faces, second.faces)


def test_faces_of_training_images_lie_inside_them(scenes: list[Scene]) -> None:
    chips = np.random.default_rng(0).integers(0, 256, (4, CHIP, CHIP, 3), np.uint8)
    composer = Composer(split(scenes)[0], chips, 160)

    samples = [composer.compose(np.random.default_rng(seed)) for seed in range(60)]

    faces = np.concatenate([sample.faces for sample in samples])
    assert len(faces) > 60
    assert faces.min() >= 0
    assert faces.max() <= 160
    assert (faces[:, 2:] > faces[:, :2]).all()
