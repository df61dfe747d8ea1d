"""Write the unseen faces and scenes as labelled folders for `visage evaluate`.

    python -m training.folders --faces FairFace --scenes SCENES --out runs/labelled

faces    the validation chips of FairFace, as they are
service  the same chips, each pasted into a scene without faces, so that the detector has to find it
small    a thousand of the chips in a scene, their faces 24 pixels high
tiny     the same at 16 pixels
dark     a thousand chips at a fifth of their brightness, with noise
grey     a thousand chips without colour
photos   the last hundred `photo` scenes
groups   thirty photos of several people
empty    180 scenes of nature, rooms and passers-by, nearly all without a face
"""

import argparse
import csv
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from training.faces import AGES, CHIP, FACE_BOX, GENDERS, RACES, Faces, read_faces
from training.scenes import Scene, read_scenes, split

SEED = 20261121
Pixels = NDArray[np.uint8]


COLUMNS = ("file", "x1", "y1", "x2", "y2", "gender", "age", "difficult", "race")


@dataclass(frozen=True)
class LabelRow:
    """A row of `labels.csv`: `box` is x1, y1, x2, y2 in pixels; an image without faces has a row without a box."""

    file: str
    box: Sequence[float] | None = None
    gender: str = ""
    age: str = ""
    difficult: str = ""
    race: str = ""

    def cells(self) -> tuple[object, ...]:
        """Return the values in the order of `COLUMNS`."""
        box = ("",) * 4 if self.box is None else self.box
        return self.file, *box, self.gender, self.age, self.difficult, self.race


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/labelled"))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    arguments = parser.parse_args()
    training_scenes, unseen = split(read_scenes(arguments.scenes))
    background = [
        scene for scene in unseen["nature"] + unseen["indoor"] if not len(scene.faces) and not len(scene.difficult)
    ]
    faces = read_faces(arguments.faces, "val", arguments.cache)
    thousand = faces.first(1000)
    write_chips(arguments.faces, arguments.out / "faces")
    write_pasted(faces, background, arguments.out / "service", (0.5, 2))
    for name, height in (("small", 24), ("tiny", 16)):
        scale = height / (FACE_BOX[3] - FACE_BOX[1])
        write_pasted(thousand, background, arguments.out / name, (scale, scale))
    write_altered(thousand, darken, arguments.out / "dark")
    write_altered(thousand, remove_colour, arguments.out / "grey")
    for name, kinds in {"photos": ["photo"], "groups": ["group"], "empty": ["nature", "indoor", "cctv"]}.items():
        write_scenes([scene for kind in kinds for scene in unseen[kind]], arguments.out / name)
    print(f"The labelled folders are in {arguments.out}; the {len(training_scenes)} training scenes are not in them.")


def write_chips(source: Path, folder: Path) -> None:
    """Copy the validation chips of FairFace in `source` byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with (source / "val.csv").open(newline="") as table, tarfile.open(source / "val.tar") as archive:
        for row in csv.DictReader(table):
            name = Path(row["file"]).name
            with cast("IO[bytes]", archive.extractfile(row["file"])) as chip:
                (folder / name).write_bytes(chip.read())
            rows.append(LabelRow(name, FACE_BOX, row["gender"], row["age"], race=row["race"]))
    write_labels(folder, rows)


def write_pasted(faces: Faces, scenes: Sequence[Scene], folder: Path, scales: tuple[float, float]) -> None:
    """Paste each chip into a random scene, resized by a random factor between the two `scales`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
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
        rows.append(_labelled(name, box, faces, index))
    write_labels(folder, rows)


def write_altered(faces: Faces, alter: Callable[[Pixels, np.random.Generator], Pixels], folder: Path) -> None:
    """Write `alter(chip, rng)` for each chip."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, chip in enumerate(faces.chips):
        name = f"{index:05}.png"
        cv2.imwrite(str(folder / name), alter(chip, np.random.default_rng((SEED, index))))
        rows.append(_labelled(name, FACE_BOX, faces, index))
    write_labels(folder, rows)


def darken(chip: Pixels, rng: np.random.Generator) -> Pixels:
    return np.clip(chip / 5 + rng.normal(0, 4, chip.shape), 0, 255).astype(np.uint8)


def remove_colour(chip: Pixels, _: np.random.Generator) -> Pixels:
    return cv2.cvtColor(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)


def write_scenes(scenes: Iterable[Scene], folder: Path) -> None:
    """Write the scenes as PNG, with their faces and their difficult boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for scene in scenes:
        name = str(Path(scene.name).with_suffix(".png"))
        cv2.imwrite(str(folder / name), scene.pixels)
        boxes = [(box, "") for box in scene.faces] + [(box, "yes") for box in scene.difficult]
        rows += [
            LabelRow(name, [round(float(edge), 1) for edge in box], difficult=difficult) for box, difficult in boxes
        ]
        if not boxes:
            rows.append(LabelRow(name))
    write_labels(folder, rows)


def _labelled(name: str, box: Sequence[float], faces: Faces, index: int) -> LabelRow:
    gender, age, race = GENDERS[faces.genders[index]], AGES[faces.ages[index]], RACES[faces.races[index]]
    return LabelRow(name, box, gender, age, race=race)


def write_labels(folder: Path, rows: Iterable[LabelRow]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(row.cells() for row in rows)


if __name__ == "__main__":
    main()
