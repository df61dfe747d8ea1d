"""Faces made unrecognisable, on a copy of the picture.

What is left of a face is a few averages of it, whatever its size and whatever the method: nothing else could bring it
back. A blur or a mosaic of fixed strength leaves large faces readable, and a plain Gaussian blur can be undone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from visage.images.boxes import Box
from visage.images.decoding import Pixels

# Averages along the shorter side of a mask. With 5, our detector takes a third of the blurred faces for faces, with 2
# few more than of black ones, which their outline alone can tell (benchmarks/README.md, "What is left").
_CELLS = 2

# Pixels. What an edge of the picture leaves of a face may be a strip of a pixel or two.
_LEAST_CELL = 4

# Edges of an ellipse lie between pixels: it is drawn in units of 1/16, as OpenCV's `shift` of 4.
_SHIFT = 4


class Method(Enum):
    """What stands in a face's place: its averages run into each other, as squares, or nothing at all."""

    BLUR = "blur"
    MOSAIC = "mosaic"
    SOLID = "solid"


class Shape(Enum):
    """The outline of what is covered."""

    ELLIPSE = "ellipse"
    BOX = "box"


@dataclass(frozen=True)
class Mask:
    """How faces are covered. `scale` is the size of what is covered over that of the face's box, around its centre.

    1.3 takes in forehead, chin and ears, which detectors leave out.
    """

    method: Method = Method.BLUR
    shape: Shape = Shape.ELLIPSE
    scale: float = 1.3


def cover(pixels: Pixels, boxes: Iterable[Box], mask: Mask) -> Pixels:
    """A copy of (h, w, 3) uint8 `pixels` with each of `boxes` covered; what lies outside the masks is as it was."""
    covered = pixels.copy()
    # The smallest last: what is left of a small face must not shine through the mask of a larger one drawn before.
    for box in sorted(boxes, key=lambda each: -each.area):
        _cover_one(covered, box, mask)
    return covered


def _cover_one(covered: Pixels, box: Box, mask: Mask) -> None:
    height, width = covered.shape[:2]
    centre_x, centre_y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    half_width, half_height = box.width * mask.scale / 2, box.height * mask.scale / 2
    # Whole pixels, none too few: one that a mask cuts belongs to it.
    left, top = max(0, int(centre_x - half_width)), max(0, int(centre_y - half_height))
    right = min(width, int(np.ceil(centre_x + half_width)))
    bottom = min(height, int(np.ceil(centre_y + half_height)))
    part = covered[top:bottom, left:right]
    # Of the whole mask, also where the picture's edge cuts it.
    cell = max(_LEAST_CELL, 2 * min(half_width, half_height) / _CELLS)
    filling = _FILLINGS[mask.method](part, cell)
    # A face that the picture's edge cuts is widest there, and an ellipse around what is left of it narrowest.
    cut = box.x1 <= 0 or box.y1 <= 0 or box.x2 >= width or box.y2 >= height
    if cut or mask.shape is Shape.BOX:
        part[:] = filling
        return
    outline = np.zeros(part.shape[:2], np.uint8)
    unit = 1 << _SHIFT
    # OpenCV's pixels lie on whole coordinates, ours between them.
    centre = round((centre_x - left - 0.5) * unit), round((centre_y - top - 0.5) * unit)
    axes = int(np.ceil(half_width * unit)), int(np.ceil(half_height * unit))
    cv2.ellipse(outline, centre, axes, 0, 0, 360, 255, cv2.FILLED, cv2.LINE_8, _SHIFT)
    np.copyto(part, filling, where=outline[..., None] > 0)


def _averages(part: Pixels, cell: float) -> Pixels:
    """A part of a picture as few pixels, each the average of about `cell` by `cell` pixels of it."""
    height, width = part.shape[:2]
    cells = max(1, round(width / cell)), max(1, round(height / cell))
    return cv2.resize(part, cells, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _blurred(part: Pixels, cell: float) -> Pixels:
    return _enlarged(_averages(part, cell), part, cv2.INTER_LINEAR)


def _mosaic(part: Pixels, cell: float) -> Pixels:
    return _enlarged(_averages(part, cell), part, cv2.INTER_NEAREST)


def _enlarged(averages: Pixels, part: Pixels, interpolation: int) -> Pixels:
    return cv2.resize(averages, part.shape[1::-1], interpolation=interpolation).astype(np.uint8, copy=False)


def _solid(part: Pixels, _cell: float) -> Pixels:
    return np.zeros_like(part)


_FILLINGS: dict[Method, Callable[[Pixels, float], Pixels]] = {
    Method.BLUR: _blurred,
    Method.MOSAIC: _mosaic,
    Method.SOLID: _solid,
}
