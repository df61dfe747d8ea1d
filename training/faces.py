"""FairFace as arrays of face chips, and the crops that nets learn from.

A chip is an aligned face of 112 x 112 pixels, from hairline to chin: about the content of a detector's box in an
ordinary photo. Crops are cut around such a box like those of `visage.nets.crops.square_crop`.
"""

import csv
import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
AGE_RANGES = ((0, 2), (3, 9), (10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 100))
GENDERS = ("Male", "Female")
RACES = ("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian", "Middle Eastern")

# The side of a chip in pixels.
CHIP = 112

# The box (x1, y1, x2, y2) of a chip's face, as the face net of compact places it in a whole photo: from above the
# forehead to the chin. docs/decisions.md has the gain in accuracy.
FACE_BOX = (15.0, 0.6, 97.0, 106.6)

# The side of a crop relative to the longer side of the box: 106 pixels of a chip, nearly all of it. The crop's centre
# is so many longer sides below that of the box.
CROP_SCALE, CROP_SHIFT = 1.0, 0.06


@dataclass(frozen=True)
class Faces:
    """`chips` (n, 112, 112, 3) uint8 BGR; `ages`, `genders`, `races` (n,) int64 indices into the tuples above."""

    chips: NDArray[np.uint8]
    ages: NDArray[np.int64]
    genders: NDArray[np.int64]
    races: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chips)

    def first(self, count: int) -> "Faces":
        return Faces(self.chips[:count], self.ages[:count], self.genders[:count], self.races[:count])


def read_faces(folder: Path, part: str, cache: Path) -> Faces:
    """Return the faces of `part` (`train` or `val`) of FairFace in `folder`.

    The chips are decoded once, into a memory-mapped file in `cache`.

    Raises:
        ValueError: the archive lacks a file of the table, or a file is not an image.
    """
    table = (folder / f"{part}.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(table.decode())))
    decoded = cache / f"fairface_{part}_{hashlib.sha256(table).hexdigest()[:8]}.npy"
    if not decoded.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = decoded.with_suffix(".partial.npy")
        np.save(partial, _decode_archive(folder / f"{part}.tar", [row["file"] for row in rows]))
        partial.replace(decoded)
    return Faces(
        np.load(decoded, mmap_mode="r"),
        np.array([AGES.index(row["age"]) for row in rows]),
        np.array([GENDERS.index(row["gender"]) for row in rows]),
        np.array([RACES.index(row["race"]) for row in rows]),
    )


def _decode_archive(archive: Path, names: list[str]) -> NDArray[np.uint8]:
    chips = np.empty((len(names), CHIP, CHIP, 3), np.uint8)
    index = {name: number for number, name in enumerate(names)}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in index else None
            if content is not None:
                chips[index.pop(member.name)] = _decode(np.frombuffer(content.read(), np.uint8))
    if index:
        raise ValueError(f"{archive} lacks {len(index)} files, for example {next(iter(index))}.")
    return chips


def _decode(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("A file is not an image that OpenCV can decode.")
    return image.astype(np.uint8, copy=False)


def plain_crops(chips: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the crops (n, side, side, 3) uint8 BGR that Visage cuts around the face boxes of `chips`."""
    return np.stack([_crop(chip, side) for chip in chips])


def _crop(chip: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    width = round(CROP_SCALE * (FACE_BOX[3] - FACE_BOX[1]))
    left, top = (centre - width / 2 for centre in _crop_centre())
    move = np.array([[1, 0, -round(left)], [0, 1, -round(top)]], np.float32)
    cut = cv2.warpAffine(chip, move, (width, width), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _crop_centre() -> tuple[float, float]:
    """Return x and y of the centre of a chip's crop, in pixels of the chip."""
    x1, y1, x2, y2 = FACE_BOX
    return (x1 + x2) / 2, (y1 + y2) / 2 + CROP_SHIFT * (y2 - y1)


def training_crop(chip: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return an augmented crop (side, side, 3) uint8 BGR of `chip`: geometry, occlusion, resolution, quality."""
    crop = _jitter(chip, rng)
    if rng.random() < 0.1:
        crop = _occlude(crop, rng)
    if rng.random() < 0.2:
        crop = reduce_resolution(crop, rng)
    crop = degrade(crop, rng, probability=0.07)
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def degrade(image: NDArray[np.uint8], rng: np.random.Generator, probability: float) -> NDArray[np.uint8]:
    """Return the BGR image in another light, and at random blurred, noisy or compressed.

    `probability` (0..1) is that of blur and that of noise. Compression is twice as probable.
    """
    image = _relight(image, rng)
    if rng.random() < probability:
        image = _blur(image, rng)
    if rng.random() < probability:
        noise = np.empty(image.shape, np.int8)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, np.zeros(3), np.array([rng.uniform(2, 14)] * 3))
        image = cv2.add(image, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)
    if rng.random() < 2 * probability:
        image = _recompress(image, rng)
    return image


def _jitter(chip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift, scale, stretch, rotate and mirror the crop, because detected boxes are not exact."""
    longer = FACE_BOX[3] - FACE_BOX[1]
    width = round(CROP_SCALE * longer)
    zoom = np.exp(rng.normal(0, 0.08))
    angle = np.radians(rng.normal(0, 7))
    stretch = np.exp(rng.normal(0, 0.04))
    centre = np.array(_crop_centre())
    centre += rng.normal(0, 0.05 * longer, 2)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[cos * stretch, -sin], [sin, cos / stretch]])
    if rng.random() < 0.5:
        linear[0] *= -1
    move = np.hstack([linear, (width / 2 - linear @ centre)[:, None]])
    border = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)[rng.choice(3, p=(0.6, 0.25, 0.15))]
    fill = tuple(int(value) for value in rng.integers(0, 256, 3))
    moved = cv2.warpAffine(chip, move, (width, width), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill)
    return moved.astype(np.uint8, copy=False)


def _relight(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change exposure, contrast, gamma and colour cast; 5 % become dark, 6 % grey."""
    values = np.arange(256) / 255
    dark = rng.uniform(0.15, 0.6) if rng.random() < 0.05 else 1.0
    gamma = np.exp(rng.normal(0, 0.2))
    contrast = np.exp(rng.normal(0, 0.15))
    casts = np.exp(rng.normal(0, 0.06, 3))
    table = ((values**gamma - 0.5) * contrast + 0.5)[:, None] * dark * casts + rng.normal(0, 0.06)
    crop = cv2.LUT(crop, np.clip(table * 255, 0, 255).astype(np.uint8).reshape(1, 256, 3)).astype(np.uint8, copy=False)
    if rng.random() < 0.06:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return crop


def reduce_resolution(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the square crop downscaled and upscaled again, as if its face had 16 pixels or more in the photo."""
    side = crop.shape[0]
    small = round(float(np.exp(rng.uniform(np.log(16 * CROP_SCALE), np.log(side)))))
    downscaled = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    interpolation = cv2.INTER_LINEAR if rng.random() < 0.8 else cv2.INTER_CUBIC
    return cv2.resize(downscaled, (side, side), interpolation=interpolation).astype(np.uint8, copy=False)


def _blur(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply Gaussian blur or motion blur."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 2.5)).astype(np.uint8, copy=False)
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    half = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = (tuple(round(value) for value in point) for point in (middle - half, middle + half))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


def _recompress(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    _, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 85))])
    return _decode(jpeg)


def _occlude(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw sunglasses, the edge of a photo, or an ellipse like a hand or a microphone over a part of the face."""
    side = crop.shape[0]
    crop = crop.copy()
    colour = tuple(
        int(value) for value in (crop[side // 2, side // 2] if rng.random() < 0.4 else rng.integers(0, 256, 3))
    )
    kind = rng.integers(0, 4)
    if kind == 0:
        eyes, half = round(side * 0.41), round(side * rng.uniform(0.09, 0.14))
        for centre in (0.37, 0.63):
            dark = tuple(int(value) for value in rng.integers(0, 60, 3))
            cv2.ellipse(crop, (round(side * centre), eyes), (half, round(half * 0.8)), 0, 0, 360, dark, -1)
    elif kind == 1:
        edge = round(side * rng.uniform(0.08, 0.35))
        crop = np.rot90(crop, turn := int(rng.integers(0, 4))).copy()
        crop[:edge] = crop[edge : edge + 1] if rng.random() < 0.5 else colour
        crop = np.rot90(crop, -turn).copy()
    else:
        middle = tuple(int(value) for value in rng.integers(round(side * 0.15), round(side * 0.85), 2))
        axes = tuple(int(value) for value in (rng.uniform(0.08, 0.26, 2) * side))
        cv2.ellipse(crop, middle, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    return crop
