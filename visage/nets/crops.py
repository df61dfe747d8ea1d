"""Square crops of faces, resized to the input of a net."""

import cv2
import numpy as np
from numpy.typing import NDArray


def square_crop(
    pixels: NDArray[np.uint8], box: NDArray[np.float32], crop_scale: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Cut a square around the centre of `box` from (h, w, 3) uint8 BGR `pixels`; resize it to `size` (width, height).

    `box` is (4,) float32 x1 y1 x2 y2 in pixels; the side of the square is `crop_scale` times its longer side. Parts
    outside the image repeat the pixels at its edge.
    """
    width, height = size
    side = max(1.0, crop_scale * float(max(box[2] - box[0], box[3] - box[1])))
    left, top = float(box[0] + box[2] - side) / 2, float(box[1] + box[3] - side) / 2
    x1, x2 = _span(left, side, pixels.shape[1])
    y1, y2 = _span(top, side, pixels.shape[0])
    # Only the part inside the image is resized, which saves memory for a face that fills a large photo.
    inside_left, inside_right = _scaled_span(x1, x2, left, side, width)
    inside_top, inside_bottom = _scaled_span(y1, y2, top, side, height)
    inside = _resize(pixels[y1:y2, x1:x2], (inside_right - inside_left, inside_bottom - inside_top))
    margins = (inside_top, height - inside_bottom, inside_left, width - inside_right)
    if not any(margins):
        return inside
    return cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _span(start: float, length: float, limit: int) -> tuple[int, int]:
    """Return first and last of the whole pixels in `start` to `start + length` and in 0..limit, at least one."""
    first = min(max(0, round(start)), limit - 1)
    return first, max(first + 1, min(limit, round(start + length)))


def _scaled_span(first: int, last: int, start: float, length: float, size: int) -> tuple[int, int]:
    """Return where `first` to `last` are after `start` to `start + length` was resized to `size`."""
    low = min(max(0, round((first - start) / length * size)), size - 1)
    return low, min(size, max(low + 1, round((last - start) / length * size)))


def _resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    shrinks = pixels.shape[1] > size[0] or pixels.shape[0] > size[1]
    # Shrinking by area averaging uses every pixel; bilinear sampling would skip most of those of a large face.
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR).astype(
        np.uint8, copy=False
    )
