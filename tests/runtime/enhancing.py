"""Helpers that enhance arrays of pixels and compare the results."""

import io
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visage.runtime.enhancer import Enhancer
from visage.settings import Settings

Pixels = NDArray[np.uint8]

# A tile side larger than any image here.
UNTILED = 2000


def enhance(settings: Settings, pixels: Pixels, **changes: Any) -> NDArray[np.int16]:
    enhanced = Enhancer(replace(settings, **changes)).enhance(png(pixels))
    return pixels_of(enhanced.picture).astype(np.int16)


def png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def pixels_of(picture: bytes) -> Pixels:
    """Decode an image with Pillow, without applying its orientation: (h, w, 3) uint8 BGR."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.uint8)
