"""Labelled pictures for measuring a face detector: scene photos as they are, and mosaics of them.

None of them was trained on. Their boxes are opinions of two detectors, not of people. A mosaic stands for a larger
photo with smaller faces: its parts are real, its faces as many as in all of them together.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes import Scene, read_scenes, split

CELL = 360


@dataclass(frozen=True)
class SceneSet:
    name: str
    scenes: list[Scene]

    @property
    def face_count(self) -> int:
        return sum(len(scene.faces) for scene in self.scenes)


def load_sets(folder: Path, seed: int = 3) -> Iterator[SceneSet]:
    """The sets, in order of falling face size; the same for the same seed."""
    _, unseen = split(read_scenes(folder))
    people = [scene for scene in unseen["photo"] + unseen["group"] if len(scene.faces)]
    empty = [
        scene
        for kind in ("nature", "indoor", "cctv", "photo")
        for scene in unseen[kind]
        if not len(scene.faces) and not len(scene.perhaps)
    ]
    random.Random(seed).shuffle(people)
    random.Random(seed).shuffle(empty)
    yield SceneSet("scene photos, 360 px", [mosaic([scene]) for scene in people])
    for side in (2, 3, 5):
        parts = side * side
        chosen = [people[start : start + parts] for start in range(0, len(people) - parts + 1, parts)]
        yield SceneSet(f"mosaics, {side * CELL} px", [mosaic(scenes) for scenes in chosen])
    yield SceneSet("no face, 360 px", [mosaic([scene]) for scene in empty])
    yield SceneSet("no face, 1080 px", [mosaic(empty[start : start + 9]) for start in range(0, len(empty) - 8, 9)])


def mosaic(scenes: Sequence[Scene]) -> Scene:
    """A square of photos, each scaled into a cell; one photo alone is not padded."""
    columns = round(len(scenes) ** 0.5)
    canvas = np.full((columns * CELL, columns * CELL, 3), 127, np.uint8)
    boxes: dict[str, list[NDArray[np.float32]]] = {"faces": [], "perhaps": [], "decoys": []}
    shape = canvas.shape[:2]
    for index, scene in enumerate(scenes):
        scale = CELL / max(scene.pixels.shape)
        size = (round(scene.pixels.shape[1] * scale), round(scene.pixels.shape[0] * scale))
        x, y = index % columns * CELL, index // columns * CELL
        canvas[y : y + size[1], x : x + size[0]] = cv2.resize(scene.pixels, size, interpolation=cv2.INTER_AREA)
        for kind, placed in boxes.items():
            placed.append(getattr(scene, kind) * scale + np.array([x, y, x, y], np.float32))
        if len(scenes) == 1:
            shape = (size[1], size[0])
    pixels = canvas[: shape[0], : shape[1]].copy()
    return Scene("mosaic", pixels, *(np.concatenate(boxes[kind]) for kind in boxes))
