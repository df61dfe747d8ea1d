"""Images with ICC profiles, and their colours by Pillow's own decoders."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.support.paths import ROOT

# Eileen Collins, photographed by NASA (public domain): (128, 128, 3) uint8 BGR.
PORTRAIT = np.asarray(
    cv2.resize(np.asarray(cv2.imread(str(ROOT / "docs" / "astronaut.jpg"))), (128, 128), interpolation=cv2.INTER_AREA),
    np.uint8,
)


def in_srgb(data: bytes) -> NDArray[np.uint8]:
    """The image decoded by Pillow and converted to sRGB by its profile: (h, w, 3) uint8 BGR."""
    opened = Image.open(io.BytesIO(data))
    image = opened.convert("RGB") if opened.mode == "P" else opened
    profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
    converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.asarray(converted, np.uint8)[..., ::-1]


def difference(pixels: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """The mean difference in levels of 255."""
    return float(cv2.absdiff(pixels, np.ascontiguousarray(others)).mean())
