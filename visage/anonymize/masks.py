"""Redaction masks: make faces unrecognizable.

A mask reduces a face to a few averages, whatever its size and the method. A blur or mosaic of fixed strength leaves
large faces recognizable, and a plain Gaussian blur can be reversed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.images.boxes import Box
from visage.ranges import NumberRange, check_choice, check_number

T = TypeVar("T", bound=np.integer[Any])

# Cells (averages) across the shorter side of a mask. With 5, our detector still finds a third of the blurred faces.
# With 2 it finds few more than of black ones, which have nothing but an outline (`python -m benchmarks.anonymize`).
_CELLS = 2

# Smallest side of a cell in pixels. At the edge of an image a face may be a strip of one or two pixels.
_MIN_CELL_SIDE = 4

# The sizes of a mask over that of the face's box. Below 1 a part of the face would stay visible; above 3, our choice, a
# mask hides mostly other things.
MASK_SCALE_RANGE = NumberRange(1, 3)

# Fractional bits of OpenCV's coordinates: an ellipse is drawn in units of 1/16 pixel.
_SHIFT = 4


class Method(Enum):
    """What replaces a face: its averages blended into each other, its averages as squares, or black."""

    BLUR = "blur"
    MOSAIC = "mosaic"
    SOLID = "solid"


class Shape(Enum):
    """The outline of a mask."""

    ELLIPSE = "ellipse"
    BOX = "box"


@dataclass(frozen=True)
class Mask:
    """A redaction mask.

    `scale` is the size of the mask over that of the face's box, around the same centre. 1.3 includes forehead, chin and
    ears, which the boxes of detectors leave out.

    Raises:
        BadParameter: a value is outside its range.
    """

    method: Method = Method.BLUR
    shape: Shape = Shape.ELLIPSE
    scale: float = 1.3

    def __post_init__(self) -> None:
        check_choice("method", self.method, Method)
        check_choice("shape", self.shape, Shape)
        check_number("scale", self.scale, MASK_SCALE_RANGE)


def redact(pixels: NDArray[T], boxes: Iterable[Box], mask: Mask) -> NDArray[T]:
    """Return a copy of (h, w, 3) uint8 or uint16 `pixels` with `mask` over `boxes`; other pixels are unchanged."""
    redacted = pixels.copy()
    # Smallest last: it then averages what a larger mask left, and the order of `boxes` makes no difference.
    for box in sorted(boxes, key=lambda each: -each.area):
        _draw_mask(redacted, box, mask)
    return redacted


def mask_bounds(box: Box, scale: float, width: int, height: int) -> Box:
    """Return the part of a photo of `width` x `height` pixels that the mask of `scale` over `box` needs."""
    centre_x, centre_y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    half_width, half_height = box.width * scale / 2, box.height * scale / 2
    # Rounded outwards, so that pixels which the mask covers in part belong to it.
    return Box(
        max(0, int(centre_x - half_width)),
        max(0, int(centre_y - half_height)),
        min(width, int(np.ceil(centre_x + half_width))),
        min(height, int(np.ceil(centre_y + half_height))),
    )


def _draw_mask(canvas: NDArray[T], box: Box, mask: Mask) -> None:
    height, width = canvas.shape[:2]
    centre_x, centre_y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    half_width, half_height = box.width * mask.scale / 2, box.height * mask.scale / 2
    bounds = mask_bounds(box, mask.scale, width, height)
    left, top = bounds.x1, bounds.y1
    part = canvas[top : bounds.y2, left : bounds.x2]
    # The size of a cell follows the whole mask, even if the edge of the image cuts it.
    cell_side = max(_MIN_CELL_SIDE, 2 * min(half_width, half_height) / _CELLS)
    filling = _FILLINGS[mask.method](part, cell_side)
    # A face cut by the edge of the image may be widest there, where an ellipse around the rest of it is narrowest.
    cut = box.x1 <= 0 or box.y1 <= 0 or box.x2 >= width or box.y2 >= height
    if cut or mask.shape is Shape.BOX:
        part[:] = filling
        return
    outline = np.zeros(part.shape[:2], np.uint8)
    unit = 1 << _SHIFT
    # OpenCV puts the centre of a pixel at whole coordinates; boxes have its edges there.
    centre = round((centre_x - left - 0.5) * unit), round((centre_y - top - 0.5) * unit)
    axes = int(np.ceil(half_width * unit)), int(np.ceil(half_height * unit))
    cv2.ellipse(outline, centre, axes, 0, 0, 360, 255, cv2.FILLED, cv2.LINE_8, _SHIFT)
    np.copyto(part, filling, where=outline[..., None] > 0)


def _blur(part: NDArray[T], cell_side: float) -> NDArray[T]:
    return _resized(_averages(part, cell_side), part, cv2.INTER_LINEAR)


def _mosaic(part: NDArray[T], cell_side: float) -> NDArray[T]:
    return _resized(_averages(part, cell_side), part, cv2.INTER_NEAREST)


def _solid(part: NDArray[T], _cell_side: float) -> NDArray[T]:
    return np.zeros_like(part)


def _averages(part: NDArray[T], cell_side: float) -> NDArray[T]:
    """Reduce a part of an image to one pixel for each cell of about `cell_side` by `cell_side` pixels."""
    height, width = part.shape[:2]
    cells = max(1, round(width / cell_side)), max(1, round(height / cell_side))
    return cv2.resize(part, cells, interpolation=cv2.INTER_AREA).astype(part.dtype, copy=False)


def _resized(averages: NDArray[T], part: NDArray[T], interpolation: int) -> NDArray[T]:
    """Enlarge `averages` to the size of `part`."""
    return cv2.resize(averages, part.shape[1::-1], interpolation=interpolation).astype(part.dtype, copy=False)


_FILLINGS: dict[Method, Callable[[NDArray[Any], float], NDArray[Any]]] = {
    Method.BLUR: _blur,
    Method.MOSAIC: _mosaic,
    Method.SOLID: _solid,
}
