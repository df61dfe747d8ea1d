"""Labelled pictures for measuring a face detector: scene photos as they are, and mosaics of them.

The photos and their boxes (opinions of two detectors, not of people) come from a folder with `scenes.tar` and
`boxes.json`. A mosaic stands for a larger photo with smaller faces: its parts are real, its faces as many as in all of
them together.
"""

import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Confidence of the teacher (CenterFace) from which a box nearly always is a face; from the second value on it may be
# one, so that finding it is neither right nor wrong.
SURE, PERHAPS = 0.5, 0.2

CELL = 360


@dataclass(frozen=True)
class Scene:
    """`pixels` (h, w, 3) uint8 BGR; `faces` and `perhaps` (n, 4) float x1 y1 x2 y2 in its pixels."""

    pixels: NDArray[np.uint8]
    faces: NDArray[np.float64]
    perhaps: NDArray[np.float64]


@dataclass(frozen=True)
class SceneSet:
    name: str
    scenes: list[Scene]

    @property
    def face_count(self) -> int:
        return sum(len(scene.faces) for scene in self.scenes)


def load_sets(folder: Path, seed: int = 3) -> Iterator[SceneSet]:
    """The sets, in order of falling face size; the same for the same seed."""
    labels: dict[str, Any] = json.loads((folder / "boxes.json").read_text())
    with tarfile.open(folder / "scenes.tar") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        library = _Library(archive, members, labels)
        people = library.names(("photo", "people"), with_faces=True)
        empty = library.names(("nature", "indoor", "cctv"), with_faces=False)
        random.Random(seed).shuffle(people)
        random.Random(seed).shuffle(empty)
        yield SceneSet("scene photos, 360 px", [library.mosaic([name]) for name in people[:150]])
        for side, count in ((2, 40), (3, 25), (5, 12), (8, 5)):
            parts = side * side
            chosen = [people[start : start + parts] for start in range(0, count * parts, parts)]
            full = [names for names in chosen if len(names) == parts]
            yield SceneSet(f"mosaics, {side * CELL} px", [library.mosaic(names) for names in full])
        yield SceneSet("no face, 360 px", [library.mosaic([name]) for name in empty[:150]])
        chosen = [empty[start : start + 9] for start in range(0, 270, 9)]
        yield SceneSet("no face, 1080 px", [library.mosaic(names) for names in chosen])


@dataclass(frozen=True)
class _Library:
    archive: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]
    labels: dict[str, Any]

    def names(self, kinds: Sequence[str], *, with_faces: bool) -> list[str]:
        """Photos of these kinds that have a sure face, or none that is even possible."""
        chosen = []
        for name, label in self.labels.items():
            best = max((face[0] for face in label["faces"]), default=0)
            if name.split("_")[0] in kinds and (best >= SURE if with_faces else best < PERHAPS):
                chosen.append(name)
        return chosen

    def mosaic(self, names: Sequence[str]) -> Scene:
        """A square of photos, each scaled into a cell; one photo alone is not padded."""
        columns = round(len(names) ** 0.5)
        canvas = np.full((columns * CELL, columns * CELL, 3), 127, np.uint8)
        faces: list[NDArray[np.float64]] = []
        perhaps: list[NDArray[np.float64]] = []
        shape = canvas.shape[:2]
        for index, name in enumerate(names):
            photo = self._photo(name)
            scale = CELL / max(photo.shape)
            size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
            x, y = index % columns * CELL, index // columns * CELL
            canvas[y : y + size[1], x : x + size[0]] = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
            for confidence, _, *box in self.labels[name]["faces"]:
                placed = np.array(box) * scale + np.array([x, y, x, y])
                if confidence >= PERHAPS:
                    (faces if confidence >= SURE else perhaps).append(placed)
            if len(names) == 1:
                shape = (size[1], size[0])
        return Scene(canvas[: shape[0], : shape[1]].copy(), _stacked(faces), _stacked(perhaps))

    def _photo(self, name: str) -> NDArray[np.uint8]:
        file = self.archive.extractfile(self.members[name])
        content = io.BytesIO(file.read() if file else b"").getvalue()
        photo = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if photo is None:
            raise ValueError(f"{name} in the archive is not a picture")
        return photo.astype(np.uint8, copy=False)


def _stacked(boxes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.array(boxes, np.float64).reshape(-1, 4)
