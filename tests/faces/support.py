"""Faces and images for the tests of labels."""

import numpy as np
from numpy.typing import NDArray

from visage.faces.annotation import Label, place_labels
from visage.faces.face import Face
from visage.images.boxes import Box

GENDERS = ("Male", "Female")


def face(
    x1: int, y1: int, x2: int, y2: int, gender: str = "Female", age: str = "(25-32)", genders: tuple[str, ...] = GENDERS
) -> Face:
    rest = 0.1 / max(len(genders) - 1, 1)
    return Face(
        box=Box(x1, y1, x2, y2),
        confidence=0.99,
        gender_probabilities={name: 0.9 if name == gender else rest for name in genders},
        age_probabilities={age: 1.0},
        age_range=(25, 32),
        age_years=28.5,
    )


def image(width: int, height: int, shade: int = 128) -> NDArray[np.uint8]:
    return np.full((height, width, 3), shade, np.uint8)


def crowd(count: int, width: int, height: int, seed: int) -> list[Face]:
    random = np.random.default_rng(seed)
    corners = random.integers((0, 0), (width - 8, height - 8), (count, 2))
    sizes = random.integers(8, max(width // 5, 9), count)
    return [
        face(x, y, min(x + size, width), min(y + size, height), GENDERS[size % 2])
        for (x, y), size in zip(corners.tolist(), sizes.tolist(), strict=True)
    ]


def overlap(first: Box, second: Box) -> bool:
    return first.x1 < second.x2 and second.x1 < first.x2 and first.y1 < second.y2 and second.y1 < first.y2


def only_label(found: Face, width: int, height: int) -> Label:
    (label,) = place_labels([found], width, height)
    return label
