"""Photos whose faces are known, to measure a pack with: a folder with pictures and a `labels.csv`.

One row a face: `file`, the path of the picture in the folder; `x1`, `y1`, `x2`, `y2`, the face's box in pixels of the
upright picture; `gender` and `age` (a number of years, `20-29` or `70+`), empty where unknown; `perhaps`, anything but
empty where finding this face is neither right nor wrong. A picture without faces has one row with its file alone. Every
other column is a group that figures can be broken down by.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visage.errors import LabelsError

LABELS = "labels.csv"
_BOX = ("x1", "y1", "x2", "y2")
_KNOWN = {"file", *_BOX, "gender", "age", "perhaps"}

# What an open age group such as 70+ is taken to end at.
OLDEST = 100


@dataclass(frozen=True)
class LabelledFace:
    """One face: `box` (4,) float32 x1 y1 x2 y2; `gender` and the inclusive years of `age`, None where unknown."""

    box: NDArray[np.float32]
    gender: str | None
    age: tuple[int, int] | None
    perhaps: bool
    groups: Mapping[str, str]


@dataclass(frozen=True)
class LabelledPhoto:
    path: Path
    faces: tuple[LabelledFace, ...]


def read_labels(folder: Path) -> list[LabelledPhoto]:
    """The photos of `folder`, in the order of its `labels.csv`.

    Raises:
        LabelsError: there is no such table, or a row of it cannot be understood; the sentence names the line.
    """
    try:
        with (folder / LABELS).open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns = set(table.fieldnames or ())
            if not {"file", *_BOX} <= columns:
                raise LabelsError(f"{folder / LABELS} needs a first line with the columns file,x1,y1,x2,y2.")
            photos: dict[str, list[LabelledFace]] = {}
            for row in table:
                faces = photos.setdefault(row["file"], [])
                try:
                    if any(row[name] for name in _BOX):
                        faces.append(_face(row))
                except (TypeError, ValueError) as error:
                    raise LabelsError(f"{folder / LABELS}, line {table.line_num}: {error}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{folder / LABELS} cannot be read ({error}). Name a folder that holds one.") from None
    if not photos:
        raise LabelsError(f"{folder / LABELS} names no photo.")
    return [LabelledPhoto(folder / name, tuple(faces)) for name, faces in photos.items()]


def _face(row: Mapping[str, str]) -> LabelledFace:
    box = np.array([float(row[name]) for name in _BOX], np.float32)
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box has x1 < x2 and y1 < y2, all of them numbers of pixels")
    return LabelledFace(
        box,
        row.get("gender") or None,
        _years(row["age"]) if row.get("age") else None,
        bool(row.get("perhaps")),
        {name: value or "" for name, value in row.items() if name not in _KNOWN and name is not None},
    )


def _years(text: str) -> tuple[int, int]:
    """The inclusive years of `34`, `30-39` or `70+`."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})|(\+))?\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no age; write 34, 30-39 or 70+")
    first = int(match[1])
    last = int(match[2]) if match[2] else max(first, OLDEST) if match[3] else first
    if last < first:
        raise ValueError(f"{text!r} ends before it begins")
    return first, last
