"""Photos for measuring, made from `docs/astronaut.jpg`. Pixels are (h, w, 3) uint8 BGR."""

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.paths import ROOT

Pixels = NDArray[np.uint8]

# JPEG quality, 0..100.
QUALITY = 90


def portrait() -> Pixels:
    """The astronaut (NASA, public domain): 512 x 512, one face."""
    pixels = cv2.imread(str(ROOT / "docs" / "astronaut.jpg"))
    if pixels is None:
        raise FileNotFoundError("docs/astronaut.jpg")
    return pixels.astype(np.uint8, copy=False)


def two_faces() -> Pixels:
    """1126 x 661: the astronaut and her mirror image."""
    left = cv2.resize(portrait(), (661, 661), interpolation=cv2.INTER_CUBIC)[:, 49:612]
    return np.hstack([left, left[:, ::-1]]).astype(np.uint8, copy=False)


def crowd(faces: int) -> Pixels:
    """1600 x 1600: a grid with the astronaut's head `faces` times; empty cells are grey."""
    columns = int(np.ceil(np.sqrt(faces)))
    side = 1600 // columns
    head = cv2.resize(portrait()[0:260, 90:350], (side, side), interpolation=cv2.INTER_AREA)
    pixels = np.full((1600, 1600, 3), 127, np.uint8)
    for face in range(faces):
        row, column = divmod(face, columns)
        pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = head
    return pixels


def scene(megapixels: float) -> Pixels:
    """A photo of 3 to 2 with two faces and grain. Without grain, an enlarged photo would decode too fast."""
    height = int((megapixels * 1e6 / 1.5) ** 0.5)
    pixels = cv2.resize(two_faces(), (int(1.5 * height), height), interpolation=cv2.INTER_CUBIC)
    grain = np.empty(pixels.shape, np.int8)
    cv2.setRNGSeed(1)
    cv2.randn(grain, np.zeros(3), np.full(3, 5.0))
    return cv2.add(pixels, grain, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def jpeg(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """The pixels as a JPEG file."""
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
