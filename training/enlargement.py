"""What enlarging is measured by: pictures that are shrunk three times, enlarged again and held against what they were.

All of it is about luma: tensors (n, 1, height, width) in 0..1, the Y of full-range YCrCb.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SCALE = 3

# Pixels at the edges of a picture that are left out of its score, as is customary.
SHAVED = 3

# A picture's edge goes on like this beyond it, in shrunk pixels, so that no enlarger sees zeros there.
PADDING = 8
PADDED = slice(SCALE * PADDING, -SCALE * PADDING)

# From (n, 1, height, width) to (n, 9, height, width), as a pixel shuffle takes it.
Enlarger = Callable[[Tensor], Tensor]

# From (n, 1, height, width) to (n, 1, height / 3, width / 3).
Shrinker = Callable[[Tensor], Tensor]


def shrink(large: Tensor, *, antialias: bool = True) -> Tensor:
    """A third of the height and width, in steps of a 255th as a file holds them.

    Bicubic with antialiasing, as MATLAB and Pillow do it and as the field's figures are given. Without it, as
    cv2.INTER_CUBIC does it, shrinking by three merely takes the middle one of every nine pixels.
    """
    return stepped(functional.interpolate(large, scale_factor=1 / SCALE, mode="bicubic", antialias=antialias))


def average(large: Tensor) -> Tensor:
    """A third of the height and width as well: the mean of every nine pixels, much as a camera bins them."""
    return stepped(functional.avg_pool2d(large, SCALE))


def bicubic(small: Tensor, *, antialias: bool = True) -> Tensor:
    """Bicubic enlargement as goes with that shrinking: with a slope of -0.5, or of -0.75 as cv2.INTER_CUBIC has it."""
    enlarged = functional.interpolate(small, scale_factor=SCALE, mode="bicubic", antialias=antialias)
    return functional.pixel_unshuffle(enlarged, SCALE)


def psnr(enlarger: Enlarger, planes: Sequence[NDArray[np.uint8]], shrinker: Shrinker = shrink) -> float:
    """The mean over pictures (height, width), multiples of three, of the peak signal-to-noise ratio in dB."""
    with torch.no_grad():
        return round(float(np.mean([_psnr(enlarger, plane, shrinker) for plane in planes])), 3)


def enlarged(enlarger: Enlarger, small: Tensor) -> Tensor:
    """Three times the height and width, in steps of a 255th."""
    padded = functional.pad(small, [PADDING] * 4, mode="replicate")
    return stepped(functional.pixel_shuffle(enlarger(padded), SCALE))[..., PADDED, PADDED]


def stepped(values: Tensor) -> Tensor:
    """Rounded to steps of a 255th from 0 to 1."""
    return values.mul(255).round().clamp(0, 255) / 255


def _psnr(enlarger: Enlarger, plane: NDArray[np.uint8], shrinker: Shrinker) -> float:
    large = torch.from_numpy(plane.astype(np.float32)).reshape(1, 1, *plane.shape) / 255
    inside = (..., slice(SHAVED, -SHAVED), slice(SHAVED, -SHAVED))
    error = functional.mse_loss(enlarged(enlarger, shrinker(large))[inside], large[inside])
    return -10 * float(error.log10())
