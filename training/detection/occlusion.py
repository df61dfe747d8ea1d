"""Things drawn in front of a face: a medical mask, dark glasses, a hand or another part of the picture.

The same things are drawn where no face is, so that the net does not learn to take them for faces.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Colours of masks, BGR: white, pale blue, black, blue, pink.
_MASKS = ((235, 235, 235), (230, 190, 140), (30, 30, 30), (200, 160, 90), (180, 180, 220))

# The landmarks of an upright face in its box, from 0 to 1 across and down: eyes, nose, corners of the mouth.
_LANDMARKS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.78), (0.65, 0.78))

# The width of a face over its height, and the free space around a decoy over that height.
_ASPECT, _DECOY_MARGIN = 0.8, 0.2


def occlude(picture: Pixels, face: Floats, rng: np.random.Generator) -> Pixels:
    """`picture` with something in front of `face` (14,): box and landmarks, in pixels."""
    result = picture.copy()
    draw = rng.random()
    if draw < 0.6:
        _draw_mask(result, face, rng)
    elif draw < 0.7:
        _draw_glasses(result, face, rng)
    else:
        _cover_part(result, face, rng)
    return result


def add_decoy(picture: Pixels, taken: Floats, rng: np.random.Generator) -> Pixels:
    """`picture` with a mask, glasses or a patch at a random place away from the boxes `taken` (n, 4), if it is free."""
    side = picture.shape[0]
    height = np.exp(rng.uniform(np.log(14), np.log(side * 0.4)))
    left, top = rng.uniform(0, side - height, 2)
    size = np.array([_ASPECT * height, height])
    corner = np.array([left, top])
    box = np.concatenate([corner, corner + size])
    margin = _DECOY_MARGIN * height
    overlap = np.minimum(taken[:, 2:], box[2:]) - np.maximum(taken[:, :2], box[:2])
    if (overlap > -margin).all(axis=1).any():
        return picture
    points = np.array(_LANDMARKS) * size + corner
    return occlude(picture, np.concatenate([box, points.ravel()]).astype(np.float32), rng)


def _draw_mask(picture: Pixels, face: Floats, rng: np.random.Generator) -> None:
    right_eye, left_eye, nose, right_mouth, left_mouth = face[4:].reshape(5, 2)
    mouth = (right_mouth + left_mouth) / 2
    up = (right_eye + left_eye) / 2 - mouth
    length = float(np.linalg.norm(up)) + 1e-3
    up = up / length
    across = np.array([-up[1], up[0]])
    half = (face[2] - face[0]) * rng.uniform(0.40, 0.52)
    top = nose + up * length * rng.uniform(-0.05, 0.45)
    chin = mouth - up * length * rng.uniform(0.45, 0.75)
    side = [
        (top + up * length * 0.1, 0.35),
        (top - up * length * 0.15, 1.0),
        (mouth, 0.95),
        (chin, 0.45),
    ]
    outline = [point + across * half * part for point, part in side]
    outline += [point - across * half * part for point, part in reversed(side)]
    colour = _mask_colour(rng)
    cv2.fillPoly(picture, [np.rint(outline).astype(np.int32)], colour, cv2.LINE_AA)
    if rng.random() < 0.5 and length > 6:
        shade = tuple(int(value * 0.85) for value in colour)
        for fold in range(int(rng.integers(1, 4))):
            middle = nose - up * length * (0.2 + 0.25 * fold)
            ends = [_point(middle + across * half * end) for end in (0.9, -0.9)]
            cv2.line(picture, ends[0], ends[1], shade, 1, cv2.LINE_AA)


def _draw_glasses(picture: Pixels, face: Floats, rng: np.random.Generator) -> None:
    width, height = face[2] - face[0], face[3] - face[1]
    colour = tuple(int(value) for value in rng.integers(0, 70, 3))
    for eye in face[4:8].reshape(2, 2):
        axes = (max(1, int(width * 0.16)), max(1, int(height * 0.12)))
        cv2.ellipse(picture, _point(eye), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)


def _cover_part(picture: Pixels, face: Floats, rng: np.random.Generator) -> None:
    width, height = face[2] - face[0], face[3] - face[1]
    centre = np.array([rng.uniform(face[0], face[2]), rng.uniform(face[1] + 0.2 * height, face[3])])
    axes = tuple(max(1, int(side * rng.uniform(0.12, 0.35))) for side in (width, height))
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.ellipse(mask, _point(centre), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    covered = mask > 127
    if rng.random() < 0.9:
        shift = tuple(int(rng.integers(20, side - 20)) for side in picture.shape[:2])
        picture[covered] = np.roll(picture, shift, (0, 1))[covered]
    else:
        picture[covered] = rng.integers(0, 256, 3)


def _mask_colour(rng: np.random.Generator) -> tuple[int, ...]:
    if rng.random() < 0.6:
        return tuple(int(value) for value in rng.integers(0, 256, 3))
    return tuple(int(value) for value in np.clip(rng.choice(_MASKS) + rng.normal(0, 12, 3), 0, 255))


def _point(place: NDArray[np.floating]) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
