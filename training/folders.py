"""Lay the unseen faces and scenes out as the labelled folders that `visage evaluate` reads.

    python -m training.folders --faces FairFace --scenes SCENES --out runs/labelled

faces    the validation chips of FairFace, as they are
service  the same chips, each pasted somewhere into a scene without faces, so that the detector has to find it
photos   the last hundred `photo` scenes
groups   thirty photos of several people
empty    180 scenes of nature, rooms and passers-by, nearly all without a face
"""

import argparse
import csv
import tarfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from training.faces import AGES, CHIP, FACE_BOX, GENDERS, RACES, read_faces
from training.scenes import Scene, read_scenes, split

COLUMNS = ("file", "x1", "y1", "x2", "y2", "gender", "age", "perhaps", "race")
SEED = 20261121
Row = tuple[object, ...]


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
    write_pasted(arguments.faces, arguments.cache, empty, arguments.out / "service")
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
            content = archive.extractfile(row["file"])
            if content is None:
                raise ValueError(f"val.tar lacks {row['file']}")
            (folder / name).write_bytes(content.read())
            rows.append((name, *FACE_BOX, row["gender"], row["age"], "", row["race"]))
    write_labels(folder, rows)


def write_pasted(source: Path, cache: Path, scenes: list[Scene], folder: Path) -> None:
    """Each validation chip, at half to twice its size, in a scene that is large enough for it."""
    folder.mkdir(parents=True, exist_ok=True)
    faces = read_faces(source, "val", cache)
    rows: list[Row] = []
    for index, chip in enumerate(faces.chips):
        rng = np.random.default_rng((SEED, index))
        pixels = scenes[int(rng.integers(len(scenes)))].pixels.copy()
        height, width = pixels.shape[:2]
        side = round(min(CHIP * float(np.exp(rng.uniform(np.log(0.5), np.log(2)))), height, width))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        interpolation = cv2.INTER_AREA if side < CHIP else cv2.INTER_LINEAR
        pixels[y : y + side, x : x + side] = cv2.resize(chip, (side, side), interpolation=interpolation)
        name = f"{index:05}.png"
        cv2.imwrite(str(folder / name), pixels)
        box = [round(edge * side / CHIP + shift, 1) for edge, shift in zip(FACE_BOX, (x, y, x, y), strict=True)]
        labels = (GENDERS[faces.genders[index]], AGES[faces.ages[index]], "", RACES[faces.races[index]])
        rows.append((name, *box, *labels))
    write_labels(folder, rows)


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
