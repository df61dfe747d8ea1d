"""Downscaling and upscaling by three, and the score of a super-resolution net.

All functions work on luma: tensors (n, 1, height, width) in 0..1, the Y of full-range YCrCb.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SCALE = 3

# Pixels at each edge of an image that do not count in its score, as is customary in the literature.
SHAVED = 3

# Pixels by which the edge of a downscaled image is repeated, so that no upscaler sees zeros there.
PADDING = 8
PADDED = slice(SCALE * PADDING, -SCALE * PADDING)

# From (n, 1, height, width) to (n, 9, height, width), the input of a pixel shuffle.
Upscaler = Callable[[Tensor], Tensor]

# From (n, 1, height, width) to (n, 1, height / 3, width / 3).
Downscaler = Callable[[Tensor], Tensor]


def downscale(large: Tensor, *, antialias: bool = True) -> Tensor:
    """Return a third of the height and width, quantized.

    Bicubic with antialiasing, like MATLAB and Pillow; the literature reports its scores for it. Without antialiasing,
    like cv2.INTER_CUBIC, a reduction by three takes the middle one of nine pixels.
    """
    return quantized(functional.interpolate(large, scale_factor=1 / SCALE, mode="bicubic", antialias=antialias))


def downscale_by_averaging(large: Tensor) -> Tensor:
    """Return a third of the height and width, quantized: the mean of nine pixels, similar to a camera's binning."""
    return quantized(functional.avg_pool2d(large, SCALE))


def upscale_bicubic(small: Tensor, *, antialias: bool = True) -> Tensor:
    """Upscale as the counterpart of `downscale`, in the layout of an `Upscaler`.

    The slope of the kernel is -0.5 with `antialias`, and -0.75 without, like cv2.INTER_CUBIC.
    """
    large = functional.interpolate(small, scale_factor=SCALE, mode="bicubic", antialias=antialias)
    return functional.pixel_unshuffle(large, SCALE)


def upscale(upscaler: Upscaler, small: Tensor) -> Tensor:
    """Return three times the height and width, quantized."""
    padded = functional.pad(small, [PADDING] * 4, mode="replicate")
    return quantized(functional.pixel_shuffle(upscaler(padded), SCALE))[..., PADDED, PADDED]


def quantized(values: Tensor) -> Tensor:
    """Round to multiples of 1/255 in 0..1, the values that an image file can hold."""
    return values.mul(255).round().clamp(0, 255) / 255


def psnr(upscaler: Upscaler, planes: Sequence[NDArray[np.uint8]], downscaler: Downscaler = downscale) -> float:
    """Return the mean peak signal-to-noise ratio in dB of luma planes (height, width) that are multiples of three."""
    with torch.no_grad():
        return round(float(np.mean([_psnr(upscaler, plane, downscaler) for plane in planes])), 3)


def _psnr(upscaler: Upscaler, plane: NDArray[np.uint8], downscaler: Downscaler) -> float:
    large = torch.from_numpy(plane.astype(np.float32)).reshape(1, 1, *plane.shape) / 255
    inside = (..., slice(SHAVED, -SHAVED), slice(SHAVED, -SHAVED))
    error = functional.mse_loss(upscale(upscaler, downscaler(large))[inside], large[inside])
    return -10 * float(error.log10())
