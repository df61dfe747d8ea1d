"""Scene photos with boxes: those that measure a face detector, and those that train the super-resolution net.

The boxes are the output of a detector (docs/models.md). A box to which it gives 0.5 or more is a face. A box from 0.2
on is difficult and does not count.
"""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# The confidences from which on a detected box is a face, and from which on it is difficult.
FACE_CONFIDENCE, DIFFICULT_CONFIDENCE = 0.5, 0.2

# Scenes that no net is trained on: the last hundred `photo` scenes by name, the last thirty of several people with
# large faces, and the last sixty of each other kind.
TEST_PHOTOS, TEST_GROUPS, TEST_OTHERS = 100, 30, 60


@dataclass(frozen=True)
class Scene:
    """A photo and its boxes.

    `pixels` is (h, w, 3) uint8 BGR. `faces` and `difficult` are (n, 4) float32 x1 y1 x2 y2 in pixels.
    """

    name: str
    pixels: NDArray[np.uint8]
    faces: NDArray[np.float32]
    difficult: NDArray[np.float32]

    @property
    def kind(self) -> str:
        """Return the first part of the name: photo, people, cctv, nature or indoor."""
        return self.name.split("_")[0]


def read_scenes(folder: Path) -> list[Scene]:
    """Return the scenes of `scenes.tar` and `boxes.json` in `folder`, sorted by name.

    Raises:
        ValueError: a file of the archive is not an image.
    """
    labels: dict[str, Any] = json.loads((folder / "boxes.json").read_text())
    scenes = []
    with tarfile.open(folder / "scenes.tar") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None:
                continue
            name = Path(member.name).name
            pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
            if pixels is None:
                raise ValueError(f"{name} is not an image that OpenCV can decode.")
            boxes = np.array(labels[name]["faces"], np.float32).reshape(-1, 6)
            confidences = boxes[:, 0]
            scenes.append(
                Scene(
                    name,
                    pixels.astype(np.uint8, copy=False),
                    boxes[confidences >= FACE_CONFIDENCE, 2:],
                    boxes[(confidences >= DIFFICULT_CONFIDENCE) & (confidences < FACE_CONFIDENCE), 2:],
                )
            )
    return sorted(scenes, key=lambda scene: scene.name)


def split(scenes: list[Scene]) -> tuple[list[Scene], dict[str, list[Scene]]]:
    """Return the training scenes, and the unseen scenes by the name of their set."""
    kinds = {kind: [scene for scene in scenes if scene.kind == kind] for kind in {scene.kind for scene in scenes}}
    groups = [
        scene
        for scene in kinds["people"]
        if len(scene.faces) >= 2 and (scene.faces[:, 3] - scene.faces[:, 1]).min() >= 20
    ]
    unseen = {"photo": kinds["photo"][-TEST_PHOTOS:], "group": groups[-TEST_GROUPS:]}
    for kind in ("nature", "indoor", "cctv"):
        unseen[kind] = kinds[kind][-TEST_OTHERS:]
    names = {scene.name for part in unseen.values() for scene in part}
    return [scene for scene in scenes if scene.name not in names], unseen
