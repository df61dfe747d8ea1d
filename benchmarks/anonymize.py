"""Shows how many faces the search of `/anonymize` finds, and how many redacted ones: `python -m benchmarks.anonymize`.

The first table has the scenes of benchmarks.detection at every detail and several confidence thresholds, then crowds of
24 megapixels: faces of FairFace of one height, pasted onto scenes without faces. Faces and false positives are counted
as `visage evaluate` does. Times are means in milliseconds per photo on one thread, to be read as ratios. The second
table has the redacted faces of the scene photos that the detector finds again (intersection over union above 0.3), for
each mask. benchmarks.recognition shows whether a redacted face can be recognized.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.support.report import table
from benchmarks.support.scenes import CELL, SceneSet, load_sets, mosaic
from tests.support.paths import SHARED
from training.faces import CHIP, FACE_BOX, read_faces
from training.scenes import Scene
from visage.anonymize import masks
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.evaluation.evaluation import match
from visage.faces.merging import merge
from visage.faces.search import Detail, find_candidates
from visage.images.boxes import Box, intersection_over_union
from visage.nets.detections import Detections
from visage.nets.detector import FaceDetector
from visage.packs.pack import FaceSpec, find_pack

CONFIDENCES = (0.5, 0.35, 0.25, 0.15, 0.1)

# Pixels: 24 megapixels, with a face in each of 20 x 10 cells.
CROWD_WIDTH, CROWD_HEIGHT, CELL_WIDTH, CELL_HEIGHT = 6000, 4000, 300, 400
FACE_HEIGHTS = (80, 60, 40, 30, 20)

# Cells across the shorter side of a face.
CELLS = (1, 2, 3, 4, 5)

# A redacted face is found again if its intersection over union with a detection is higher.
FOUND_AGAIN_IOU = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, default=SHARED / "data" / "scenes")
    parser.add_argument("--faces", type=Path, default=SHARED / "data" / "fairface")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder for decoded faces")
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    spec = find_pack(arguments.pack).face
    print(f"OpenCV {cv2.__version__}, pack {arguments.pack}; faces found / false positives\n")
    sets = list(load_sets(arguments.scenes))
    chips = read_faces(arguments.faces, "val", arguments.cache).chips
    empty = next(each for each in sets if not each.face_count).scenes
    head = ["images", "detail", "faces", *(f"from {confidence}" for confidence in CONFIDENCES), "ms"]
    print(
        table(head, [row for scene_set in itertools.chain(sets, crowds(empty, chips)) for row in rows(scene_set, spec)])
    )
    print(table(["mask", "cells", "redacted", *head[3:-1]], list(found_again(sets[0], spec))))


def rows(scene_set: SceneSet, spec: FaceSpec) -> Iterator[list[str]]:
    """A row for each detail: what it finds in a set."""
    detector = FaceDetector(spec)
    for detail in Detail:
        counts, seconds = np.zeros((len(CONFIDENCES), 2), int), []
        for scene in scene_set.scenes:
            began = time.perf_counter()
            found = merge(find_candidates(detector, spec, scene.pixels, detail))
            seconds.append(time.perf_counter() - began)
            counts += [count(found.boxes[found.confidences >= confidence], scene) for confidence in CONFIDENCES]
        yield [
            scene_set.name,
            detail.value,
            str(scene_set.face_count),
            *(f"{right} / {wrong}" for right, wrong in counts),
            f"{1000 * statistics.mean(seconds):.0f}",
        ]


def count(boxes: NDArray[np.float32], scene: Scene) -> tuple[int, int]:
    """The number of faces of `scene` that `boxes` (n, 4) find, and of false positives."""
    faces = np.concatenate([scene.faces, scene.difficult])
    pairs, wrong = match(boxes, faces, np.arange(len(faces)) >= len(scene.faces))
    return sum(face < len(scene.faces) for face in pairs), wrong


def crowds(empty: Sequence[Scene], chips: NDArray[np.uint8]) -> Iterator[SceneSet]:
    """One crowd for each height of the faces."""
    columns = -(-CROWD_WIDTH // CELL)
    background = mosaic(list(itertools.islice(itertools.cycle(empty), columns**2))).pixels
    for height in FACE_HEIGHTS:
        yield SceneSet(f"crowd, faces of {height} px", [crowd(background, chips, height)])


def crowd(background: NDArray[np.uint8], chips: NDArray[np.uint8], height: int) -> Scene:
    """A photo with a face of `height` pixels at a random place in every cell."""
    rng = np.random.default_rng(height)
    pixels = background[:CROWD_HEIGHT, :CROWD_WIDTH].copy()
    scale = height / (FACE_BOX[3] - FACE_BOX[1])
    side = round(scale * CHIP)
    corners = itertools.product(
        range(0, CROWD_WIDTH - CELL_WIDTH + 1, CELL_WIDTH), range(0, CROWD_HEIGHT - CELL_HEIGHT + 1, CELL_HEIGHT)
    )
    faces = []
    for (left, top), chip in zip(corners, chips, strict=False):
        x, y = left + rng.integers(CELL_WIDTH - side), top + rng.integers(CELL_HEIGHT - side)
        small, outline = (
            cv2.resize(each, (side, side), interpolation=cv2.INTER_AREA) for each in (chip, paste_mask(rng))
        )
        part = pixels[y : y + side, x : x + side]
        part[:] = np.round(part + (small.astype(float) - part) * outline[..., None])
        faces.append(np.array(FACE_BOX, np.float32) * scale + np.array([x, y, x, y], np.float32))
    return Scene("crowd", pixels, np.array(faces), np.empty((0, 4), np.float32))


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


def found_again(scene_set: SceneSet, spec: FaceSpec) -> Iterator[list[str]]:
    """A row for each mask: how many redacted faces the detector finds again."""
    detector = FaceDetector(spec)

    def search(pixels: NDArray[np.uint8]) -> Detections:
        return merge(find_candidates(detector, spec, pixels, Detail.HIGH))

    photos = [(scene.pixels, redacted_boxes(search(scene.pixels), spec)) for scene in scene_set.scenes]
    for method, shape, cells in itertools.product(Method, Shape, CELLS):
        if method is Method.SOLID and cells != CELLS[0]:
            continue
        best: list[float] = []
        with patch.object(masks, "_CELLS", cells):
            for pixels, boxes in photos:
                found = search(redact(pixels, [Box(*map(int, box)) for box in boxes], Mask(method, shape)))
                near = intersection_over_union(boxes, found.boxes) > FOUND_AGAIN_IOU
                best += (near * found.confidences).max(axis=1, initial=0).tolist()
        counts = [sum(each >= confidence for each in best) for confidence in CONFIDENCES]
        number = "" if method is Method.SOLID else str(cells)
        yield [f"{method.value} {shape.value}", number, str(len(best)), *map(str, counts)]


def redacted_boxes(found: Detections, spec: FaceSpec) -> NDArray[np.float32]:
    """The boxes (n, 4), in whole pixels, that `/anonymize` redacts."""
    boxes = np.round(found.boxes[found.confidences >= spec.redaction_confidence])
    return boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]


if __name__ == "__main__":
    main()
