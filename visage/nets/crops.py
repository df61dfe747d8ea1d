"""Square crops of faces, in the size that a net takes."""

import cv2
import numpy as np
from numpy.typing import NDArray


def square_crop(
    pixels: NDArray[np.uint8], box: NDArray[np.float32], crop_scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The square around the centre of `box`, `crop_scale` times its longer side, resized to `size` (width, height).

    What lies outside the picture is filled with the nearest pixels of its edge.
    """
    width, height = size
    side = max(1.0, crop_scale * float(max(box[2] - box[0], box[3] - box[1])))
    left, top = float(box[0] + box[2] - side) / 2, float(box[1] + box[3] - side) / 2
    x1, x2 = _span(left, side, pixels.shape[1])
    y1, y2 = _span(top, side, pixels.shape[0])
    # Only the part inside the picture is resized: the crop of a face that fills a large photo never exists in full.
    inside_left, inside_right = _placed(x1, x2, left, side, width)
    inside_top, inside_bottom = _placed(y1, y2, top, side, height)
    inside = _resize(pixels[y1:y2, x1:x2], (inside_right - inside_left, inside_bottom - inside_top))
    margins = (inside_top, height - inside_bottom, inside_left, width - inside_right)
    if not any(margins):
        return inside
    return cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _span(start: float, length: float, limit: int) -> tuple[int, int]:
    """The whole pixels from `start` over `length` that lie in 0..limit, at least one."""
    first = min(max(0, round(start)), limit - 1)
    return first, max(first + 1, min(limit, round(start + length)))


def _placed(first: int, last: int, start: float, length: float, size: int) -> tuple[int, int]:
    """Where the pixels `first` to `last` come to lie when `start` to `start + length` is resized to `size`."""
    low = min(max(0, round((first - start) / length * size)), size - 1)
    return low, min(size, max(low + 1, round((last - start) / length * size)))


def _resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = pixels.shape[1] > size[0] or pixels.shape[0] > size[1]
    # Area averaging keeps what a shrunk face shows; bilinear sampling would skip most of a large photo's pixels.
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
