"""Photos whose faces are known, to measure a pack with: a folder with pictures and a `labels.csv`.

One row a face: `file`, the path of the picture in the folder; `x1`, `y1`, `x2`, `y2`, the face's box in pixels of the
upright picture; `gender` and `age` (a number of years, `20-29` or `70+`), empty where unknown; `perhaps`, `yes` where
finding this face is neither right nor wrong. A picture without faces has one row with its file alone. Every other
column is a group that figures can be broken down by.
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
_YES_OR_NO = {"": False, "no": False, "yes": True}

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


@dataclass(frozen=True)
class Labels:
    """What a folder's table says: its photos in their order, and the columns that are groups."""

    photos: tuple[LabelledPhoto, ...]
    groups: tuple[str, ...]


def read_labels(folder: Path) -> Labels:
    """The labels of `folder`.

    Raises:
        LabelsError: there is no such table, or a row of it cannot be understood; the sentence names the line.
    """
    table = folder / LABELS
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restval="")
            columns = tuple(rows.fieldnames or ())
            if not {"file", *_BOX} <= set(columns):
                raise LabelsError(f"{table} needs a first line with the columns file,x1,y1,x2,y2.")
            photos: dict[str, list[LabelledFace]] = {}
            for row in rows:
                try:
                    _add(photos, row)
                except ValueError as error:
                    raise LabelsError(f"{table}, line {rows.line_num}: {error}.") from None
    except OSError as error:
        raise LabelsError(f"{table} cannot be read ({error.strerror}). Name a folder that holds one.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{table} is no table of comma-separated values in UTF-8 ({error}).") from None
    if not photos:
        raise LabelsError(f"{table} names no photo.")
    groups = tuple(name for name in columns if name not in _KNOWN)
    return Labels(tuple(LabelledPhoto(folder / name, tuple(faces)) for name, faces in photos.items()), groups)


def age_text(years: tuple[int, int]) -> str:
    """The years as a table of labels would write them: `34`, `30-39` or `70+`."""
    first, last = years
    return str(first) if first == last else f"{first}+" if last >= OLDEST else f"{first}-{last}"


def _add(photos: dict[str, list[LabelledFace]], row: Mapping[str, str]) -> None:
    """Add what one row says of its photo. Raises ValueError, with what is wrong in words."""
    name = row["file"].strip()
    if not name or "\0" in name:
        raise ValueError("a row needs the name of a file")
    faces = photos.setdefault(name, [])
    if any(row[edge].strip() for edge in _BOX):
        faces.append(_face(row))
    elif any(row.get(known, "").strip() for known in ("gender", "age", "perhaps")):
        raise ValueError("a face needs its box")


def _face(row: Mapping[str, str]) -> LabelledFace:
    try:
        box = np.array([float(row[edge]) for edge in _BOX], np.float32)
    except ValueError:
        box = np.full(4, np.nan, np.float32)
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box has x1 < x2 and y1 < y2, all of them numbers of pixels")
    perhaps = row.get("perhaps", "").strip().lower()
    if perhaps not in _YES_OR_NO:
        raise ValueError(f"perhaps is {perhaps!r}; it must be yes, no or empty")
    return LabelledFace(
        box,
        row.get("gender", "").strip() or None,
        _years(row["age"]) if row.get("age", "").strip() else None,
        _YES_OR_NO[perhaps],
        {name: value.strip() for name, value in row.items() if name not in _KNOWN and name is not None},
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
