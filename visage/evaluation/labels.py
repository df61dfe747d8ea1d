"""Labelled photos to evaluate a pack on: a folder of images with a `labels.csv`.

The table has one row per face. `file` is the path of the image in the folder. `x1`, `y1`, `x2`, `y2` are the face's box
in pixels of the upright image. `gender` and `age` (a number of years, `20-29` or `70+`) are empty where unknown.
`difficult` (or `perhaps`, its name in version 0.1) is `yes` for a face that is ignored in scoring. An image without
faces has one row with its file only. Every other column is a group that figures can be broken down by.
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
# Two names of one column. `perhaps` is that of version 0.1.
_DIFFICULT = ("difficult", "perhaps")
_KNOWN = {"file", *_BOX, "gender", "age", *_DIFFICULT}
_YES_OR_NO = {"": False, "no": False, "yes": True}

# Years, above those of the oldest person that is known, 122.
_OLDEST = 130

# Years. An open age group such as 70+ is taken to end here. Ours.
MAX_AGE = 100


@dataclass(frozen=True)
class LabelledFace:
    """A ground-truth face.

    `box` is (4,) float32 x1 y1 x2 y2 in pixels. `gender` and `age` (first and last year, inclusive) are None where
    unknown. `difficult` faces are ignored in scoring, found or not. `groups` holds the other columns.
    """

    box: NDArray[np.float32]
    gender: str | None
    age: tuple[int, int] | None
    difficult: bool
    groups: Mapping[str, str]

    @property
    def height(self) -> float:
        """Pixels."""
        return float(self.box[3] - self.box[1])


@dataclass(frozen=True)
class LabelledPhoto:
    """An image and the faces in it."""

    path: Path
    faces: tuple[LabelledFace, ...]


@dataclass(frozen=True)
class Labels:
    """The photos of a `labels.csv` in its order, and the names of the columns that are groups."""

    photos: tuple[LabelledPhoto, ...]
    groups: tuple[str, ...]


def read_labels(folder: Path) -> Labels:
    """Read the labels of `folder`.

    Raises:
        LabelsError: there is no such table, or a row is invalid; the message names the line.
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
        raise LabelsError(f"{table} is not a table of comma-separated values in UTF-8 ({error}).") from None
    if not photos:
        raise LabelsError(f"{table} lists no photo.")
    groups = tuple(name for name in columns if name not in _KNOWN)
    return Labels(tuple(LabelledPhoto(folder / name, tuple(faces)) for name, faces in photos.items()), groups)


def age_text(years: tuple[int, int]) -> str:
    """The years as `labels.csv` writes them: `34`, `30-39` or `70+`."""
    first, last = years
    return str(first) if first == last else f"{first}+" if last >= MAX_AGE else f"{first}-{last}"


def _add(photos: dict[str, list[LabelledFace]], row: Mapping[str, str]) -> None:
    """Add the face of one row to its photo. Raises ValueError with a message."""
    # csv.DictReader gives the fields beyond the first line's this name.
    if None in row:
        raise ValueError("a row has more fields than the first line")
    name = row["file"].strip()
    if not name or "\0" in name:
        raise ValueError("a row needs the name of a file")
    faces = photos.setdefault(name, [])
    if any(row[edge].strip() for edge in _BOX):
        faces.append(_face(row))
    elif any(row.get(column, "").strip() for column in ("gender", "age", *_DIFFICULT)):
        raise ValueError("a face needs a box")


def _face(row: Mapping[str, str]) -> LabelledFace:
    try:
        box = np.array([float(row[edge]) for edge in _BOX], np.float32)
    except ValueError:
        box = np.full(4, np.nan, np.float32)
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box needs x1 < x2 and y1 < y2, in pixels")
    return LabelledFace(
        box,
        row.get("gender", "").strip() or None,
        _years(row["age"]) if row.get("age", "").strip() else None,
        any(_yes_or_no(row, column) for column in _DIFFICULT),
        {name: value.strip() for name, value in row.items() if name not in _KNOWN},
    )


def _yes_or_no(row: Mapping[str, str], column: str) -> bool:
    value = row.get(column, "").strip().lower()
    if value not in _YES_OR_NO:
        raise ValueError(f"{column} is {value!r}; it must be yes, no or empty")
    return _YES_OR_NO[value]


def _years(text: str) -> tuple[int, int]:
    """The inclusive years of `34`, `30-39` or `70+`."""
    match = re.fullmatch(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})|(\+))?\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not an age; write 34, 30-39 or 70+")
    first = int(match[1])
    last = int(match[2]) if match[2] else max(first, MAX_AGE) if match[3] else first
    if max(first, last) > _OLDEST:
        raise ValueError(f"{text!r} is no age of a person; ages end at {_OLDEST}")
    if last < first:
        raise ValueError(f"{text!r} ends before it starts")
    return first, last
