"""Masks, boxes and pixels for the tests of anonymizing."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.tiny_pack import TINY_FACES
from visage.anonymize.masks import Mask, Method, Shape
from visage.anonymize.options import AnonymizeOptions
from visage.faces.search import Detail
from visage.images.boxes import Box

BOXES = [Box(*corners) for corners in TINY_FACES]

SOLID_BOXES = Mask(Method.SOLID, Shape.BOX, 1.0)

FAST = AnonymizeOptions(SOLID_BOXES, detail=Detail.FAST)

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp"}


def pixels_of(picture: bytes) -> NDArray[np.uint8]:
    """Decode with Pillow to (h, w, 3) uint8 BGR, without applying the orientation."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def without(pixels: NDArray[np.uint8], *boxes: Box) -> NDArray[np.uint8]:
    """Return a copy with black boxes."""
    blackened = pixels.copy()
    for box in boxes:
        blackened[box.y1 : box.y2, box.x1 : box.x2] = 0
    return blackened


def keeping(*boxes: tuple[int, int, int, int]) -> AnonymizeOptions:
    return AnonymizeOptions(SOLID_BOXES, keep=tuple(Box(*box) for box in boxes), detail=Detail.FAST)
