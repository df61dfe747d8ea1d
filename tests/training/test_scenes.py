"""Scenes: the split into training and unseen scenes."""

import numpy as np
import pytest

from training.scenes import Scene, split


@pytest.fixture
def scenes() -> list[Scene]:
    """Six hundred synthetic scenes of every kind, some with two faces."""
    none = np.empty((0, 4), np.float32)
    two = np.array([[10, 10, 40, 50], [60, 20, 90, 60]], np.float32)
    pixels = np.full((120, 160, 3), 90, np.uint8)
    kinds = ("photo", "people", "cctv", "nature", "indoor")
    return [
        Scene(f"{kind}_{index:05}.jpg", pixels, two if kind in ("photo", "people") and index % 2 else none, none)
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
