"""Labelled images for measuring a face detector: scene photos, and mosaics of them.

No image was used for training. The boxes come from two detectors, not from people. A mosaic stands for a larger photo
with smaller faces.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes import Scene, read_scenes, split

# Pixels of the side of a mosaic's cell.
CELL = 360


@dataclass(frozen=True)
class SceneSet:
    """Scenes that are measured together."""

    name: str
    scenes: list[Scene]

    @property
    def face_count(self) -> int:
        return sum(len(scene.faces) for scene in self.scenes)


def load_sets(folder: Path, seed: int = 3) -> Iterator[SceneSet]:
    """The sets, from large to small faces; the same for the same seed."""
    _, unseen = split(read_scenes(folder))
    people = [scene for scene in unseen["photo"] + unseen["group"] if len(scene.faces)]
    empty = [
        scene
        for kind in ("nature", "indoor", "cctv", "photo")
        for scene in unseen[kind]
        if not len(scene.faces) and not len(scene.difficult)
    ]
    random.Random(seed).shuffle(people)
    random.Random(seed).shuffle(empty)
    yield SceneSet("scene photos, 360 px", [mosaic([scene]) for scene in people])
    for side in (2, 3, 5):
        cells = side * side
        groups = [people[start : start + cells] for start in range(0, len(people) - cells + 1, cells)]
        yield SceneSet(f"mosaics, {side * CELL} px", [mosaic(scenes) for scenes in groups])
    yield SceneSet("no face, 360 px", [mosaic([scene]) for scene in empty])
    yield SceneSet("no face, 1080 px", [mosaic(empty[start : start + 9]) for start in range(0, len(empty) - 8, 9)])


def mosaic(scenes: Sequence[Scene]) -> Scene:
    """A square of photos, each scaled into a cell. A single photo is not padded."""
    columns = round(len(scenes) ** 0.5)
    canvas = np.full((columns * CELL, columns * CELL, 3), 127, np.uint8)
    boxes: dict[str, list[NDArray[np.float32]]] = {"faces": [], "difficult": []}
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
