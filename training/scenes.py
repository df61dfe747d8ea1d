"""Training images with boxes for the face detector: scene photos, and face chips pasted onto them.

The boxes of the scenes are the output of two detectors (docs/models.md). A box to which the first one gives 0.5 or more
is a face. A box from 0.2 on is difficult and does not count in the loss. A box that only the second one reports is
nearly always a false positive, so it is a hard negative. Hard negatives are pasted with the same masks as faces, so
that the net cannot learn from the edges of what was pasted.
"""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.faces import CHIP, FACE_BOX, degrade, reduce_resolution

# The confidences from which on a detected box is a face, and from which on it is difficult.
FACE_CONFIDENCE, DIFFICULT_CONFIDENCE = 0.5, 0.2

# Scenes that are not trained on: the last hundred `photo` scenes by name, the last thirty of several people with large
# faces, and the last sixty of each other kind.
TEST_PHOTOS, TEST_GROUPS, TEST_OTHERS = 100, 30, 60

# Faces of fewer pixels than this in the net's input do not count in the loss, because they show too little.
SMALLEST = 9.0


@dataclass(frozen=True)
class Scene:
    """A photo and its boxes.

    `pixels` is (h, w, 3) uint8 BGR. `faces`, `difficult` and `hard_negatives` are (n, 4) float32 x1 y1 x2 y2 in pixels.
    """

    name: str
    pixels: NDArray[np.uint8]
    faces: NDArray[np.float32]
    difficult: NDArray[np.float32]
    hard_negatives: NDArray[np.float32]

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
            first, second = boxes[:, 0], boxes[:, 1]
            scenes.append(
                Scene(
                    name,
                    pixels.astype(np.uint8, copy=False),
                    boxes[first >= FACE_CONFIDENCE, 2:],
                    boxes[(first >= DIFFICULT_CONFIDENCE) & (first < FACE_CONFIDENCE), 2:],
                    boxes[(first < DIFFICULT_CONFIDENCE) & (second >= FACE_CONFIDENCE), 2:],
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


@dataclass(frozen=True)
class Sample:
    """A training image.

    `pixels` is (side, side, 3) uint8 BGR. `faces` and `ignored` are (n, 4) float32 x1 y1 x2 y2 in pixels. Priors on
    `ignored` boxes do not count in the loss.
    """

    pixels: NDArray[np.uint8]
    faces: NDArray[np.float32]
    ignored: NDArray[np.float32]


class Composer:
    """Composes training images of `side` x `side` pixels from scenes and chips; the generator determines the image."""

    def __init__(self, scenes: list[Scene], chips: NDArray[np.uint8], side: int) -> None:
        self._chips = chips
        self._side = side
        self._with_faces = [scene for scene in scenes if len(scene.faces)]
        self._with_hard_negatives = [scene for scene in scenes if len(scene.hard_negatives)]
        self._without_faces = [scene for scene in scenes if not len(scene.faces)]
        self._empty = [scene for scene in scenes if not len(scene.faces) and not len(scene.difficult)]

    def compose(self, rng: np.random.Generator) -> Sample:
        """Return one training image."""
        draw = rng.random()
        if draw < 0.45:
            sample = self._cut(self._pick(self._with_faces, rng), rng)
        elif draw < 0.6:
            sample = self._cut(self._pick(self._with_hard_negatives, rng), rng)
        else:
            sample = self._cut(self._pick(self._without_faces, rng), rng)
        pixels, faces, ignored = sample.pixels.copy(), list(sample.faces), list(sample.ignored)
        taken = [*faces, *ignored]
        if rng.random() < 0.6:
            for _ in range(int(rng.integers(1, 5))):
                self._paste_hard_negative(pixels, taken, rng)
        if draw > 0.85 or rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 7))):
                box = self._paste_face(pixels, taken, rng)
                if box is not None:
                    faces.append(box)
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
            mirror = np.array([self._side, 0, self._side, 0], np.float32)
            faces, ignored = ([np.abs(mirror - box[[2, 1, 0, 3]]) for box in boxes] for boxes in (faces, ignored))
        pixels = degrade(np.ascontiguousarray(pixels), rng, probability=0.12)
        return self._sort(pixels, faces, ignored)

    def _sort(self, pixels: NDArray[np.uint8], faces: list[Any], ignored: list[Any]) -> Sample:
        """Keep the faces that are in the picture and large enough; those that are cut or tiny are ignored."""
        kept, skipped = [], list(ignored)
        for box in faces:
            inside = np.clip(box, 0, self._side)
            share = np.prod(inside[2:] - inside[:2]) / max(1e-6, np.prod(box[2:] - box[:2]))
            if share > 0.55 and inside[3] - inside[1] >= SMALLEST:
                kept.append(inside)
            else:
                skipped.append(inside)
        stack = [np.array(boxes, np.float32).reshape(-1, 4) for boxes in (kept, skipped)]
        return Sample(pixels, *stack)

    @staticmethod
    def _pick(scenes: list[Scene], rng: np.random.Generator) -> Scene:
        return scenes[int(rng.integers(len(scenes)))]

    def _cut(self, scene: Scene, rng: np.random.Generator) -> Sample:
        """Return a square of the scene at a random scale; most squares of a scene with boxes show one of them."""
        height, width = scene.pixels.shape[:2]
        marked = scene.faces if len(scene.faces) else scene.hard_negatives
        if len(marked) and rng.random() < 0.8:
            box = marked[int(rng.integers(len(marked)))]
            wanted = np.exp(rng.uniform(np.log(12), np.log(200)))
            scale = float(np.clip(wanted / (box[3] - box[1]), 0.45, 2.6))
            centre = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.25, 2) * self._side / scale
        else:
            scale = float(np.exp(rng.uniform(np.log(0.6), np.log(2.2))))
            centre = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        seen = self._side / scale
        corner = []
        for middle, length in zip(centre, (width, height), strict=True):
            low, high = sorted((0.0, length - seen))
            corner.append(float(np.clip(middle - seen / 2, low, high)))
        move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]], np.float32)
        source = scene.pixels
        if scale < 0.75:
            small = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            source, move = (
                small.astype(np.uint8, copy=False),
                np.array([[1, 0, move[0, 2]], [0, 1, move[1, 2]]], np.float32),
            )
        fill = tuple(int(value) for value in rng.integers(0, 256, 3))
        border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
        pixels = cv2.warpAffine(
            source, move, (self._side, self._side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill
        )
        shift = np.array([corner[0], corner[1]] * 2, np.float32)
        boxes = [(marks - shift) * scale for marks in (scene.faces, scene.difficult)]
        inside = [part[(part[:, :2] < self._side).all(1) & (part[:, 2:] > 0).all(1)] for part in boxes]
        return Sample(pixels.astype(np.uint8, copy=False), *inside)

    def _paste_face(self, pixels: NDArray[np.uint8], taken: list[Any], rng: np.random.Generator) -> Any:
        chip = self._chips[int(rng.integers(len(self._chips)))]
        return self._paste(pixels, chip, np.array(FACE_BOX, np.float32), taken, rng)

    def _paste_hard_negative(self, pixels: NDArray[np.uint8], taken: list[Any], rng: np.random.Generator) -> None:
        """Paste a hard negative, or any part of a scene without faces, like a face."""
        if rng.random() < 0.6:
            scene = self._pick(self._with_hard_negatives, rng)
            x1, y1, x2, y2 = scene.hard_negatives[int(rng.integers(len(scene.hard_negatives)))]
            side, centre = 1.4 * max(x2 - x1, y2 - y1), ((x1 + x2) / 2, (y1 + y2) / 2)
        else:
            scene = self._pick(self._empty, rng)
            height, width = scene.pixels.shape[:2]
            side = float(np.exp(rng.uniform(np.log(24), np.log(200))))
            centre = (rng.uniform(0, width), rng.uniform(0, height))
        scale = CHIP / side
        move = np.array(
            [[scale, 0, CHIP / 2 - centre[0] * scale], [0, scale, CHIP / 2 - centre[1] * scale]], np.float32
        )
        patch = cv2.warpAffine(scene.pixels, move, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE).astype(
            np.uint8, copy=False
        )
        self._paste(pixels, patch, np.array(FACE_BOX, np.float32), taken, rng)

    def _paste(
        self,
        pixels: NDArray[np.uint8],
        chip: NDArray[np.uint8],
        box: NDArray[np.float32],
        taken: list[Any],
        rng: np.random.Generator,
    ) -> Any:
        """Blend a chip into `pixels` in place, rotated and relit. Return its box, or None if there is no room."""
        largest = self._side * (0.65 if len(taken) else 1.0)
        height = float(np.exp(rng.uniform(np.log(11), np.log(largest))))
        scale = height / (box[3] - box[1])
        size = CHIP * scale
        angle = rng.normal(0, 12)
        where = rng.uniform(min(low := -0.1 * size, high := self._side - 0.9 * size), max(low, high), 2)
        placed = (box * scale + np.tile(where, 2)).astype(np.float32)
        grown = placed + np.array([-0.2, -0.2, 0.2, 0.2], np.float32) * height
        for other in taken:
            if (np.maximum(grown[:2], other[:2]) < np.minimum(grown[2:], other[2:])).all():
                return None
        chip = _match_brightness(chip, pixels, where, size, rng)
        centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        move = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, scale).astype(np.float64)
        move[:, 2] += centre * scale + where - centre
        # A camera averages the pixels of a distant face, so averaging comes before bilinear sampling.
        side = CHIP if scale >= 0.6 else max(4, round(CHIP * scale))
        source, mask = (
            cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in (chip, paste_mask(rng))
        )
        move[:, :2] *= CHIP / side
        first = np.clip(np.floor(where - 0.25 * size), 0, self._side).astype(int)
        last = np.clip(np.ceil(where + 1.25 * size), 0, self._side).astype(int)
        move[:, 2] -= first
        flat = (int(last[0] - first[0]), int(last[1] - first[1]))
        alpha = cv2.warpAffine(mask, move, flat)[..., None]
        warped = cv2.warpAffine(source, move, flat, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        area = (slice(first[1], last[1]), slice(first[0], last[0]))
        pixels[area] = np.round(pixels[area] * (1 - alpha) + warped * alpha).astype(np.uint8)
        taken.append(grown)
        return placed


def _match_brightness(
    chip: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
    where: NDArray[np.float64],
    size: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return the chip, half of the time with its brightness moved towards that of the place where it is pasted."""
    if rng.random() < 0.3:
        chip = reduce_resolution(chip, rng)
    if rng.random() < 0.5:
        return chip
    low = np.clip(where, 0, len(pixels) - 1).astype(int)
    high = np.maximum(low + 1, np.clip(where + size, 1, len(pixels)).astype(int))
    around = float(pixels[low[1] : high[1], low[0] : high[0]].mean())
    factor = np.clip((around + 20) / (float(chip.mean()) + 20), 0.35, 1.6) ** rng.uniform(0.3, 1)
    return np.clip(chip * factor, 0, 255).astype(np.uint8)


def paste_mask(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the opacity of a pasted chip, (112, 112) float32 in 0..1: all of it, or a head or face with soft edges."""
    mask = np.zeros((CHIP, CHIP), np.float32)
    kind = rng.random()
    if kind < 0.3:
        mask[:] = 1
        return mask
    x1, y1, x2, y2 = FACE_BOX
    grow = rng.uniform(0.8, 0.9) if kind < 0.5 else rng.uniform(0.95, 1.1)
    axes = (round((x2 - x1) / 2 * grow), round((y2 - y1) / 2 * grow))
    cv2.ellipse(mask, (round((x1 + x2) / 2), round((y1 + y2) / 2)), axes, 0, 0, 360, 1.0, -1)
    if rng.random() < 0.5:
        x = round((x1 + x2) / 2)
        cv2.rectangle(mask, (x - axes[0] // 2, round((y1 + y2) / 2)), (x + axes[0] // 2, CHIP), 1.0, -1)
    return cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 5)).astype(np.float32, copy=False)
