"""Training pictures: parts of photos at a size, angle and quality that the service may meet, with their labels."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.detection.labels import LabelledPhoto
from training.detection.occlusion import add_decoy, occlude
from training.detection.teachers import MIRRORED_LANDMARKS
from training.faces import degrade

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# Parts of photos with faces among all; photos with more faces come more often, up to three times.
_WITH_FACES = 0.72
_FACES_A_TURN, _MOST_TURNS = 6, 3

# Parts that are cut from one photo, because decoding takes longer than cutting; one more from a crowd.
_PARTS_A_PHOTO, _CROWD = 2, 12

# More than half of the parts show the scene at about the scale of the service's base pass, whatever is in it. From
# parts around faces alone the net does not learn what else looks like one.
_SCENES, _BASE_SIDE, _SCENE_SCALES = 0.55, 640, (0.45, 1.8)

# Of the scenes, this many show a face somewhere, and this many are nearly level: their angle is less by this factor.
_SCENES_WITH_FACE, _LEVEL_SCENES, _LEVELLED = 0.6, 0.6, 0.3

# A face of fewer pixels along its longer side, or of less area, is left out of the loss; so is one of which the border
# cuts away more than this.
_SMALLEST_SIDE, _SMALLEST_ROOT, _LEAST_VISIBLE = 6.0, 4.5, 0.38

# A photo that would fill less of the picture than this shares it with three others.
_LEAST_COVER, _MOSAICS = 0.5, 0.12

_OCCLUDED, _SMALLEST_OCCLUDED, _DECOYS = 0.14, 14, 0.2
_GREY, _DARK = 0.05, 0.09
_DEGRADED = 0.08


@dataclass(frozen=True)
class Picture:
    """`pixels` (side, side, 3) uint8 BGR; float32 tensors: `faces` (n, 14) of box and landmarks in pixels, `visible`
    (n,) the part of each inside the picture, `ignored` (m, 4) boxes that are neither faces nor background.
    """

    pixels: Pixels
    faces: Tensor
    visible: Tensor
    ignored: Tensor


@dataclass(frozen=True)
class _Part:
    """A part of a photo before it is degraded; `cover` is the photo's area over the picture's."""

    pixels: Pixels
    faces: Floats
    ignored: Floats
    cover: float = 1.0


class Composer:
    """Makes pictures of `photos`, the same ones for the same generator."""

    def __init__(self, photos: list[LabelledPhoto]) -> None:
        self._photos = photos
        self._people = [
            index
            for index, photo in enumerate(photos)
            for _ in range(min(_MOST_TURNS, 1 + len(photo.labels.faces) // _FACES_A_TURN))
            if len(photo.labels.faces)
        ]
        self._empty = [index for index, photo in enumerate(photos) if not len(photo.labels.faces)]

    def pictures(self, count: int, side: int, rng: np.random.Generator) -> list[Picture]:
        """`count` pictures of `side` x `side` pixels."""
        parts: list[_Part] = []
        while len(parts) < count:
            photo = self._pick(rng)
            pixels = photo.decode()
            for _ in range(_PARTS_A_PHOTO + (len(photo.labels.faces) >= _CROWD)):
                part = cut(pixels, photo, side, rng)
                if part.cover < _LEAST_COVER or rng.random() < _MOSAICS:
                    part = self._mosaic(pixels, photo, side, rng)
                parts.append(part)
        return [_finish(part, rng) for part in parts[:count]]

    def _pick(self, rng: np.random.Generator) -> LabelledPhoto:
        pool = self._people if rng.random() < _WITH_FACES or not self._empty else self._empty
        return self._photos[pool[rng.integers(len(pool))]]

    def _mosaic(self, pixels: Pixels, photo: LabelledPhoto, side: int, rng: np.random.Generator) -> _Part:
        half = side // 2
        parts = [cut(pixels, photo, half, rng)]
        while len(parts) < 4:
            other = self._pick(rng)
            decoded = other.decode()
            parts += [cut(decoded, other, half, rng) for _ in range(_PARTS_A_PHOTO)]
        canvas = np.zeros((side, side, 3), np.uint8)
        faces, ignored = [], []
        for part, place in zip(parts, rng.permutation(4), strict=False):
            shift = np.array([half * (place % 2), half * (place // 2)], np.float32)
            x, y = shift.astype(int)
            canvas[y : y + half, x : x + half] = part.pixels
            whole, cut_away = _inside(part, half)
            faces.append(whole + np.tile(shift, 7))
            ignored.append(cut_away + np.tile(shift, 2))
        return _Part(canvas, np.concatenate(faces), np.concatenate(ignored))


def cut(pixels: Pixels, photo: LabelledPhoto, side: int, rng: np.random.Generator) -> _Part:
    """A part of `side` x `side` pixels of a photo, turned, scaled, stretched a little and perhaps mirrored."""
    height, width = pixels.shape[:2]
    angle, view = np.radians(_angle(rng)), _view_of_face
    if rng.random() < _SCENES:
        view = _view_of_scene
        angle *= _LEVELLED if rng.random() < _LEVEL_SCENES else 1
    scale, centre = view(photo.labels.faces, (width, height), side, rng)
    if rng.random() < 0.85:
        pairs = zip(centre, (width, height), strict=True)
        centre = np.array([_kept_inside(*each, side / 2 / scale, rng) for each in pairs], np.float32)
    stretch = np.exp(rng.normal(0, 0.06))
    linear = scale * np.array(
        [[np.cos(angle) * stretch, -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]], np.float32
    )
    flipped = rng.random() < 0.5
    if flipped:
        linear[0] *= -1
    move = np.hstack([linear, (side / 2 - linear @ centre)[:, None]]).astype(np.float32)
    return _Part(
        _warp(pixels, move, scale, side, rng),
        _moved_faces(photo.labels.faces, move, scale, angle, mirrored=flipped),
        _moved_boxes(photo.labels.ignored, move, scale, angle),
        scale * scale * width * height / side**2,
    )


def _angle(rng: np.random.Generator) -> float:
    """Degrees: mostly a little askew, at times strongly tilted. Faces on their side are found in a turned photo."""
    draw = rng.random()
    if draw < 0.45:
        return float(rng.normal(0, 8))
    return float(rng.uniform(-50, 50)) if draw < 0.62 else 0.0


def _view_of_scene(faces: Floats, size: tuple[int, int], side: int, rng: np.random.Generator) -> tuple[float, Floats]:
    """Like `_view_of_face`, at a scale that does not depend on the faces."""
    low, high = _SCENE_SCALES
    scale = float(_BASE_SIDE / max(size) * np.exp(rng.uniform(np.log(low), np.log(high))))
    if not len(faces) or rng.random() >= _SCENES_WITH_FACE:
        return scale, (rng.uniform(0, 1, 2) * size).astype(np.float32)
    face = faces[rng.integers(len(faces))]
    return scale, ((face[:2] + face[2:4]) / 2 + rng.uniform(-0.45, 0.45, 2) * side / scale).astype(np.float32)


def _view_of_face(faces: Floats, size: tuple[int, int], side: int, rng: np.random.Generator) -> tuple[float, Floats]:
    """Pixels of the picture over those of the photo, and the place of the photo that lies in the middle."""
    if len(faces) and rng.random() < 0.85:
        face = faces[rng.integers(len(faces))]
        wanted = _face_side(side, rng)
        scale = float(np.clip(wanted / (face[2:4] - face[:2]).max(), 0.12, 2.2))
        reach = max(0.0, side / 2 - min(wanted, side * 0.8) / 2) if rng.random() < 0.9 else side / 2
        centre = (face[:2] + face[2:4]) / 2 - rng.uniform(-reach, reach, 2) / scale
    else:
        least = max(0.2, side / max(size) / 2)
        scale = float(np.exp(rng.uniform(np.log(least), np.log(1.6))))
        centre = rng.uniform(0, 1, 2) * size
    return scale, centre.astype(np.float32)


def _kept_inside(place: float, length: int, half: float, rng: np.random.Generator) -> float:
    """The middle of a span of twice `half`, moved so that as little as possible of it lies outside 0..length."""
    if length > 2 * half:
        return float(np.clip(place, half, length - half))
    return length / 2 + rng.uniform(-1, 1) * (half - length / 2)


def _face_side(side: int, rng: np.random.Generator) -> float:
    """The side of the face that a part is chosen for: small, of any size, or as large as the picture."""
    draw = rng.random()
    low, high = (7, 32) if draw < 0.45 else (24, side / 2) if draw < 0.85 else (side * 0.4, side * 1.1)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _warp(pixels: Pixels, move: Floats, scale: float, side: int, rng: np.random.Generator) -> Pixels:
    """Move each point (x, y) of a photo to `move` @ (x, y, 1). The middle of the first pixel is at 0.5."""
    height, width = pixels.shape[:2]
    shrink = int(1 / scale)
    if shrink >= 2:
        # Bilinear sampling alone would skip most pixels.
        size = (max(1, width // shrink), max(1, height // shrink))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        move = move * np.array([width / size[0], height / size[1], 1], np.float32)
    # OpenCV has the middle of the first pixel at 0.
    move = np.column_stack([move[:, :2], move[:, 2] + move[:, :2].sum(axis=1) / 2 - 0.5])
    border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REPLICATE
    grey = 127 if rng.random() < 0.6 else int(rng.integers(0, 256))
    warped = cv2.warpAffine(
        pixels, move, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(grey,) * 3
    )
    return warped.astype(np.uint8, copy=False)


def _moved_boxes(boxes: Floats, move: Floats, scale: float, angle: float) -> Floats:
    """The boxes around turned faces, which are taken for ellipses."""
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2 @ move[:, :2].T + move[:, 2]
    width, height = (boxes[:, 2:4] - boxes[:, :2]).T * scale
    cos, sin = np.cos(angle), np.sin(angle)
    halves = np.stack([np.hypot(width * cos, height * sin), np.hypot(width * sin, height * cos)], 1) / 2
    return np.hstack([middles - halves, middles + halves]).astype(np.float32)


def _moved_faces(faces: Floats, move: Floats, scale: float, angle: float, *, mirrored: bool) -> Floats:
    points = faces[:, 4:].reshape(-1, 5, 2) @ move[:, :2].T + move[:, 2]
    if mirrored:
        points = points[:, MIRRORED_LANDMARKS]
    boxes = _moved_boxes(faces[:, :4], move, scale, angle)
    return np.hstack([boxes, points.reshape(-1, 10)]).astype(np.float32)


def _inside(part: _Part, side: int) -> tuple[Floats, Floats]:
    """The faces of a part, clipped to it, and what of them and of the ignored boxes is to be ignored there."""
    clipped, visible = _clip(part.faces[:, :4], side)
    enough = visible >= _LEAST_VISIBLE
    faces = part.faces[enough].copy()
    faces[:, :4] = clipped[enough]
    ignored, _ = _clip(part.ignored, side)
    rest = np.concatenate([ignored, clipped[~enough]])
    return faces, rest[((rest[:, 2:] - rest[:, :2]) > 1).all(axis=1)]


def _clip(boxes: Floats, side: int) -> tuple[Floats, Floats]:
    """Boxes cut to the picture, and the part of each that is left."""
    clipped = np.clip(boxes, 0, side)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (clipped, boxes)]
    return clipped, areas[0] / np.maximum(areas[1], 1e-3)


def _finish(part: _Part, rng: np.random.Generator) -> Picture:
    """Faces occluded, light and quality changed, labels cut to the picture."""
    side = part.pixels.shape[0]
    _, visible = _clip(part.faces[:, :4], side)
    sides = part.faces[:, 2:4] - part.faces[:, :2]
    large = (sides.max(axis=1, initial=0) >= _SMALLEST_SIDE) & (np.sqrt(sides.prod(axis=1)) >= _SMALLEST_ROOT)
    learned = large & (visible >= _LEAST_VISIBLE)
    faces, ignored = _inside(_Part(part.pixels, part.faces[learned], part.ignored), side)
    small, _ = _clip(part.faces[~learned, :4], side)
    pixels = part.pixels
    for face in faces:
        if (face[2:4] - face[:2]).min() >= _SMALLEST_OCCLUDED and rng.random() < _OCCLUDED:
            pixels = occlude(pixels, face, rng)
    ignored = np.concatenate([ignored, small])
    ignored = ignored[(ignored[:, 2:] > ignored[:, :2]).all(axis=1)]
    if rng.random() < _DECOYS:
        pixels = add_decoy(pixels, np.concatenate([faces[:, :4], ignored]), rng)
    return Picture(_degraded(pixels, rng), *map(_tensor, (faces, visible[learned], ignored)))


def _degraded(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    pixels = degrade(pixels, rng, probability=_DEGRADED)
    draw = rng.random()
    if draw < _GREY:
        grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    if draw < _GREY + _DARK:
        noise = rng.normal(0, rng.uniform(1, 5), pixels.shape)
        return np.clip(pixels * rng.uniform(0.08, 0.45) + noise, 0, 255).astype(np.uint8)
    return pixels


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
