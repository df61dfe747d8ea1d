"""Lay the unseen faces and scenes out as the labelled folders that `visage evaluate` reads.

    python -m training.folders --faces FairFace --scenes SCENES --out runs/labelled

faces    the validation chips of FairFace, as they are
service  the same chips, each pasted somewhere into a scene without faces, so that the detector has to find it
small    a thousand of the chips in a scene, their faces 24 pixels high
tiny     the same at 16 pixels
dark     a thousand chips at a fifth of their light, with noise
grey     a thousand chips without colour
photos   the last hundred `photo` scenes
groups   thirty photos of several people
empty    180 scenes of nature, rooms and passers-by, nearly all without a face
"""

import argparse
import csv
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from training.faces import CHIP, FACE_BOX, Faces, read_faces
from training.scenes import Scene, read_scenes, split

COLUMNS = ("file", "x1", "y1", "x2", "y2", "gender", "age", "perhaps", "race")
SEED = 20261121
Row = tuple[object, ...]
Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/labelled"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    arguments = parser.parse_args()
    trained, unseen = split(read_scenes(arguments.scenes))
    write_chips(arguments.faces, arguments.out / "faces")
    empty = [scene for scene in unseen["nature"] + unseen["indoor"] if not len(scene.faces) and not len(scene.perhaps)]
    faces = read_faces(arguments.faces, "val", arguments.cache)
    write_pasted(faces, empty, arguments.out / "service", (0.5, 2))
    some = faces.first(1000)
    for name, height in (("small", 24), ("tiny", 16)):
        scale = height / (FACE_BOX[3] - FACE_BOX[1])
        write_pasted(some, empty, arguments.out / name, (scale, scale))
    write_altered(some, darkened, arguments.out / "dark")
    write_altered(some, without_colour, arguments.out / "grey")
    for name, kinds in {"photos": ["photo"], "groups": ["group"], "empty": ["nature", "indoor", "cctv"]}.items():
        write_scenes([scene for kind in kinds for scene in unseen[kind]], arguments.out / name)
    print(f"{len(trained)} scenes are trained on; the labelled folders are in {arguments.out}")


def write_chips(source: Path, folder: Path) -> None:
    """The validation chips, byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with (source / "val.csv").open(newline="") as table, tarfile.open(source / "val.tar") as archive:
        for row in csv.DictReader(table):
            name = Path(row["file"]).name
            with cast("IO[bytes]", archive.extractfile(row["file"])) as chip:
                (folder / name).write_bytes(chip.read())
            rows.append((name, *FACE_BOX, row["gender"], row["age"], "", row["race"]))
    write_labels(folder, rows)


def write_pasted(faces: Faces, scenes: list[Scene], folder: Path, scales: tuple[float, float]) -> None:
    """Each chip, enlarged by a factor between the two `scales`, in a scene that is large enough for it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for index, chip in enumerate(faces.chips):
        rng = np.random.default_rng((SEED, index))
        pixels = scenes[int(rng.integers(len(scenes)))].pixels.copy()
        height, width = pixels.shape[:2]
        side = round(min(CHIP * float(np.exp(rng.uniform(*np.log(scales)))), height, width))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        interpolation = cv2.INTER_AREA if side < CHIP else cv2.INTER_LINEAR
        pixels[y : y + side, x : x + side] = cv2.resize(chip, (side, side), interpolation=interpolation)
        name = f"{index:05}.png"
        cv2.imwrite(str(folder / name), pixels)
        box = [round(edge * side / CHIP + shift, 1) for edge, shift in zip(FACE_BOX, (x, y, x, y), strict=True)]
        rows.append((name, *box, *faces.labels(index)))
    write_labels(folder, rows)


def write_altered(faces: Faces, alter: Callable[[Pixels, np.random.Generator], Pixels], folder: Path) -> None:
    """Each chip, altered."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for index, chip in enumerate(faces.chips):
        name = f"{index:05}.png"
        cv2.imwrite(str(folder / name), alter(chip, np.random.default_rng((SEED, index))))
        rows.append((name, *FACE_BOX, *faces.labels(index)))
    write_labels(folder, rows)


def darkened(chip: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(chip / 5 + rng.normal(0, 4, chip.shape), 0, 255).astype(np.uint8)


def without_colour(chip: Pixels, _: np.random.Generator) -> Pixels:
    return cv2.cvtColor(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)


def write_scenes(scenes: Iterable[Scene], folder: Path) -> None:
    """The scenes without loss, their certain faces and those that may be one."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for scene in scenes:
        name = str(Path(scene.name).with_suffix(".png"))
        cv2.imwrite(str(folder / name), scene.pixels)
        marked = [(box, "") for box in scene.faces] + [(box, "yes") for box in scene.perhaps]
        rows += [(name, *(round(float(edge), 1) for edge in box), "", "", perhaps, "") for box, perhaps in marked]
        if not marked:
            rows.append((name, *[""] * (len(COLUMNS) - 1)))
    write_labels(folder, rows)


def write_labels(folder: Path, rows: Iterable[Row]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
