"""Shows how often a redacted face is still recognized: `python -m benchmarks.recognition`.

It needs dlib (benchmarks/matcher-requirements.txt); `make test-guard` installs it. The attacker has a redacted face and
another photo of each of many people, one of them the right one, and knows where the face is. The other photos are
imitated: a face of FairFace, rotated, moved, in another light, noisy or badly compressed. That is easier than a real
other photo, in which expression, hair and background differ too. The attacker compares

- dlib, clear: the redacted face with clear ones;
- dlib, redacted: with faces that are redacted in the same way ("parrot recognition": R. McPherson, R. Shokri,
  V. Shmatikov, "Defeating Image Obfuscation with Deep Learning", 2016);
- pixels: the same, by the distance of their pixels;
- learned: the same, by the distance that separates other people's redacted faces best (the Mahalanobis distance of
  the differences between two photos of one face).
"""

import argparse
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from benchmarks.support.report import table
from tests.support.paths import SHARED
from training.faces import CHIP, FACE_BOX, degrade, read_faces
from visage.anonymize import masks
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.images.boxes import Box

Pixels = NDArray[np.uint8]

CELLS = (1, 2, 3, 4, 5, 6, 8)

# Faces that the learned distance is fitted to.
LEARNING_FACES = 4000

# Width and height in pixels at which faces are compared. No mask here leaves more than 8 cells in a row.
COMPARED_SIZE = (12, 16)

FACE = Box(*map(round, FACE_BOX))

# The columns of a chip that its mask covers completely.
INSIDE = slice(6, 106)


@dataclass(frozen=True)
class Photos:
    """Two photos of several people, as (112, 112, 3) uint8 BGR chips: one that is published, and one that is known."""

    published: Sequence[Pixels]
    known: Sequence[Pixels]

    def redacted(self, method: Method | None, cells: int) -> "Photos":
        """The same faces redacted with `cells` across the shorter side, or unchanged without a method."""
        if method is None:
            return self
        mask = Mask(method, Shape.BOX)
        with patch.object(masks, "_CELLS", cells):
            return Photos(*([redact(chip, [FACE], mask) for chip in chips] for chips in (self.published, self.known)))


class Matcher:
    """dlib's face matcher (dlib_face_recognition_resnet_model_v1), which is given the face's box.

    Two faces of one person have a distance below `same_person`: dlib's threshold, right for 99.4 % of LFW's pairs.
    """

    same_person = 0.6

    def __init__(self) -> None:
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("face_recognition_models")
        # The package is not imported: it imports pkg_resources, which setuptools no longer has.
        models = Path(package.submodule_search_locations[0]) / "models"
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._net = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def align(self, pixels: Pixels, box: Box) -> dlib.full_object_detection:
        """The eyes and the nose of the face in `box` (forehead to chin) of (h, w, 3) BGR pixels."""
        # The landmarks expect boxes of dlib's detector. The factors are its medians on 112 chips of FairFace.
        x, y, half = (box.x1 + box.x2) / 2, box.y1 + 0.42 * box.height, 0.61 * box.width
        square = dlib.rectangle(*map(round, (x - half, y - half, x + half, y + half)))
        return self._landmarks(_as_rgb(pixels), square)

    def describe(self, pixels: Pixels, face: dlib.full_object_detection) -> NDArray[np.float64]:
        """The descriptor (128,) of a face in (h, w, 3) BGR pixels: similar faces have a small distance."""
        upright = dlib.get_face_chip(_as_rgb(pixels), face, size=150, padding=0.25)
        return np.array(self._net.compute_face_descriptor(upright))


def _as_rgb(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=SHARED / "data" / "fairface")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where decoded faces are kept")
    parser.add_argument("--people", type=int, default=100)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    chips = list(read_faces(arguments.faces, "val", arguments.cache).chips[: arguments.people])
    others = list(read_faces(arguments.faces, "train", arguments.cache).chips[:LEARNING_FACES])
    faces = Photos(chips, [another_photo(chip, rng) for chip in chips])
    learning = Photos(others, [another_photo(chip, rng) for chip in others])
    matcher = Matcher()
    aligned = [[matcher.align(chip, FACE) for chip in photos] for photos in (faces.published, faces.known)]
    known = [matcher.describe(*each) for each in zip(faces.known, aligned[1], strict=True)]
    rows = []
    for name, cells, method in settings():
        redacted = faces.redacted(method, cells)
        published, known_redacted = (
            [matcher.describe(*each) for each in zip(photos, places, strict=True)]
            for photos, places in zip((redacted.published, redacted.known), aligned, strict=True)
        )
        compared = [compared_pixels(photos) for photos in (redacted.published, redacted.known)]
        whiten = whitening(learning.redacted(method, cells))
        pairs = ((published, known), (published, known_redacted), compared, [pixels @ whiten for pixels in compared])
        rows.append([name, *(f"{recognition_rate(*map(np.array, pair)):.0%}" for pair in pairs)])
        print(*rows[-1], flush=True)
    print(f"\n{len(chips)} people: by chance {1 / len(chips):.0%}\n")
    print(table(["mask, cells", "dlib, clear", "dlib, redacted", "pixels", "learned"], rows))


def settings() -> Iterator[tuple[str, int, Method | None]]:
    """Every mask with its name and cells: none, blur and mosaic of every strength, and solid."""
    yield "none", 0, None
    for method in (Method.BLUR, Method.MOSAIC):
        for cells in CELLS:
            yield f"{method.value}, {cells}", cells, method
    yield "solid", 1, Method.SOLID


def another_photo(chip: Pixels, rng: np.random.Generator) -> Pixels:
    """An imitation of another photo of the face in a (112, 112, 3) chip."""
    move = cv2.getRotationMatrix2D((CHIP / 2, CHIP / 2), rng.normal(0, 5), np.exp(rng.normal(0, 0.05)))
    shift = np.array([[0, 0, x] for x in rng.normal(0, 0.03 * CHIP, 2)])
    moved = cv2.warpAffine(chip, move + shift, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)
    return degrade(moved.astype(np.uint8, copy=False), rng, probability=0.1)


def compared_pixels(chips: Sequence[Pixels]) -> NDArray[np.float64]:
    """The pixels (n, 576) inside the masks of `chips`."""
    return np.array(
        [cv2.resize(chip[:, INSIDE], COMPARED_SIZE, interpolation=cv2.INTER_AREA).ravel() for chip in chips], float
    )


def whitening(learning: Photos) -> NDArray[np.float64]:
    """The matrix (576, 576) after which two photos of one face differ equally in all directions."""
    differences = compared_pixels(learning.published) - compared_pixels(learning.known)
    values, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    # Directions with little variance carry no information either. Of 1 to 10,000, 1000 gave the highest rate.
    return np.asarray(vectors / np.sqrt(values + 1000))


def recognition_rate(published: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """The fraction of `published` (n, d) whose nearest of `known` (n, d) has the same index."""
    distances = np.linalg.norm(published[:, None] - known[None], axis=2)
    # The attacker guesses among equally near people: a solid mask makes all people equal.
    nearest = distances == distances.min(axis=1, keepdims=True)
    return float((np.diagonal(nearest) / nearest.sum(axis=1)).mean())


if __name__ == "__main__":
    main()
