"""Boxes that a person chose, from JSON: a parameter with boxes, and `faces.json` with those of many photos."""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visage.errors import BadParameter
from visage.images.boxes import Box
from visage.images.decoding import MAX_SIDE
from visage.strict_json import count_values, load_json

# The name of the file that has the boxes for each photo of a batch or a directory.
FACES_FILE = "faces.json"

# Boxes in one list. A photo of 238 people (WIDER FACE) gives 396 boxes in all detection passes.
MAX_BOXES = 4_000

# Bytes of all `faces.json` of a batch, and values in them, of which an empty list takes most memory: 64 bytes. This is
# enough for six boxes in each of the 10,000 photos that a batch may have.
_MAX_FACES_BYTES = 2**22
_MAX_VALUES = 400_000

_EXAMPLE = "[[10, 20, 60, 80]]"


class _WrongBox(Exception):
    """A list of boxes is invalid; the message is the part of a sentence that says which box, and why."""


@dataclass(frozen=True)
class FaceBoxes:
    """The faces to `keep` in one photo, and the boxes to `cover`; both in pixels of the upright photo."""

    keep: tuple[Box, ...] = ()
    cover: tuple[Box, ...] = ()


@dataclass
class FacesBudget:
    """The bytes and the JSON values that further `faces.json` of a batch or a directory may have."""

    bytes_left: int = _MAX_FACES_BYTES
    values_left: int = _MAX_VALUES

    def spend(self, content: bytes, source: str) -> None:
        """Count the content of the file `source`.

        Raises:
            BadParameter: there is not enough left.
        """
        self.bytes_left -= len(content)
        self.values_left -= count_values(content)
        if self.bytes_left < 0 or self.values_left < 0:
            raise BadParameter(f"{source} has too many boxes for one batch; send several batches.")


def read_boxes(name: str, text: str) -> tuple[Box, ...]:
    """Return the boxes of the parameter `name` from JSON: one `[x1, y1, x2, y2]`, or a list of them.

    Edges are whole pixels from -65,500 to 65,500, with x1 < x2 and y1 < y2.

    Raises:
        BadParameter: `text` is something else; the sentence names the box.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    try:
        return _boxes(value)
    except _WrongBox as error:
        raise BadParameter(f"{name} is {reprlib.repr(text)}; {error}.") from None


def read_face_boxes(
    content: bytes, source: str = FACES_FILE, budget: FacesBudget | None = None
) -> Mapping[str, FaceBoxes]:
    """Return the boxes for each photo from the content of `faces.json`, by the photo's name.

    It is an object such as `{"photo.jpg": {"keep": [[10, 20, 60, 80]], "cover": []}}`, in UTF-8. Both members may be
    missing. `source` is what errors call the file. Files of the same batch share a `budget`.

    Raises:
        BadParameter: the content is something else, is too long, or has a name twice in one object; the sentence names
            the photo and the box.
    """
    (budget or FacesBudget()).spend(content, source)
    try:
        photos = load_json(content, source)
    except (ValueError, RecursionError):
        photos = None
    if not isinstance(photos, dict):
        raise BadParameter(f'{source} must be an object such as {{"photo.jpg": {{"cover": {_EXAMPLE}}}}}.')
    return {name: _face_boxes(f"{source}, {reprlib.repr(name)}", value) for name, value in photos.items()}


def _face_boxes(where: str, value: Any) -> FaceBoxes:
    if not isinstance(value, dict) or not value.keys() <= {"keep", "cover"}:
        raise BadParameter(f'{where}: send an object with "keep", "cover" or both, each a list such as {_EXAMPLE}.')
    boxes: dict[str, tuple[Box, ...]] = {}
    for name, given in value.items():
        try:
            boxes[name] = _boxes(given)
        except _WrongBox as error:
            raise BadParameter(f"{where}: {name} is wrong; {error}.") from None
    return FaceBoxes(**boxes)


def _boxes(value: Any) -> tuple[Box, ...]:
    """Return the boxes, or raise `_WrongBox`."""
    if not isinstance(value, list):
        raise _WrongBox(f"it must be a list of boxes such as {_EXAMPLE}, with x1 < x2 and y1 < y2 in pixels")
    boxes = [value] if _has_four_edges(value) else value
    if len(boxes) > MAX_BOXES:
        raise _WrongBox(f"it has {len(boxes):,} boxes, and at most {MAX_BOXES:,} are allowed")
    return tuple(_box(number, box) for number, box in enumerate(boxes, 1))


def _box(number: int, value: Any) -> Box:
    if not _has_four_edges(value):
        raise _WrongBox(f"its box {number}, {reprlib.repr(value)}, must be [x1, y1, x2, y2] in whole pixels")
    x1, y1, x2, y2 = value
    if max(map(abs, value)) > MAX_SIDE:
        raise _WrongBox(f"its box {number}, {reprlib.repr(value)}, must not go beyond {MAX_SIDE:,} pixels")
    if x1 >= x2 or y1 >= y2:
        raise _WrongBox(f"its box {number}, {reprlib.repr(value)}, must have x1 < x2 and y1 < y2")
    return Box(x1, y1, x2, y2)


def _has_four_edges(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(type(edge) is int for edge in value)
