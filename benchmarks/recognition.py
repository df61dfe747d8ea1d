"""How often covered faces are still told from others: `python -m benchmarks.recognition`.

Needs dlib (benchmarks/matcher-requirements.txt); `make test-guard` installs it.

The attacker has a covered face and another photo of each of many people, one of them the right one. The other photos
are imitated: a face of FairFace turned, moved, in another light, noisy or badly compressed. That is easier than really
another photo, whose expression, hair and background differ too. He knows where the face is, and compares

- dlib, clear: the covered face with clear ones;
- dlib, covered: with faces that he has covered in the same way, so that equals are compared ("parrot recognition":
  R. McPherson, R. Shokri, V. Shmatikov, "Defeating Image Obfuscation with Deep Learning", 2016);
- pixels: the same by the plain distance of their pixels;
- learned: the same by the distance that tells other people's covered faces apart best (the one of Mahalanobis, with
  how much pixels differ between two photos of one face).
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

from benchmarks.report import table
from tests.support.paths import ROOT
from training.faces import CHIP, FACE_BOX, degrade, read_faces
from visage.anonymize import masks
from visage.anonymize.masks import Mask, Method, Shape, redact
from visage.images.boxes import Box

Pixels = NDArray[np.uint8]

CELLS = (1, 2, 3, 4, 5, 6, 8)

# What the learned distance learns from, and how its faces are held: no mask of ours leaves more than 8 cells in a row.
LEARNED_FROM, HELD = 4000, (12, 16)

FACE = Box(*map(round, FACE_BOX))

# The columns of a chip that its mask covers wholly.
INSIDE = slice(6, 106)


@dataclass(frozen=True)
class Photos:
    """Two photos of each of several people, as (112, 112, 3) chips: one that was published, and one that is known."""

    seen: Sequence[Pixels]
    known: Sequence[Pixels]

    def covered(self, method: Method | None, cells: int) -> "Photos":
        """The same, all faces covered with so many cells along the shorter side, or as they are."""
        if method is None:
            return self
        mask = Mask(method, Shape.BOX)
        with patch.object(masks, "_CELLS", cells):
            return Photos(*([redact(chip, [FACE], mask) for chip in chips] for chips in (self.seen, self.known)))


class Matcher:
    """dlib's face matcher (dlib_face_recognition_resnet_model_v1), told where the face is.

    Two faces of one person are less than `same_person` apart: dlib's own threshold, right for 99.4 % of LFW's pairs.
    """

    same_person = 0.6

    def __init__(self) -> None:
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("face_recognition_models")
        # Found, not imported: it imports pkg_resources, which setuptools no longer has.
        models = Path(package.submodule_search_locations[0]) / "models"
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._net = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def align(self, pixels: Pixels, box: Box) -> dlib.full_object_detection:
        """Eyes and nose of the face in `box` (forehead to chin) of (h, w, 3) BGR pixels."""
        # The landmarks were trained with the boxes of dlib's own detector: of 112 chips of FairFace, on the median.
        x, y, half = (box.x1 + box.x2) / 2, box.y1 + 0.42 * box.height, 0.61 * box.width
        square = dlib.rectangle(*map(round, (x - half, y - half, x + half, y + half)))
        return self._landmarks(_red_first(pixels), square)

    def describe(self, pixels: Pixels, face: dlib.full_object_detection) -> NDArray[np.float64]:
        """(128,) of what is in (h, w, 3) BGR pixels where the face is: distances tell how alike two faces are."""
        upright = dlib.get_face_chip(_red_first(pixels), face, size=150, padding=0.25)
        return np.array(self._net.compute_face_descriptor(upright))


def _red_first(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=ROOT.parent / "shared" / "data" / "fairface")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="where decoded faces are kept")
    parser.add_argument("--people", type=int, default=100)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    chips = list(read_faces(arguments.faces, "val", arguments.cache).chips[: arguments.people])
    others = list(read_faces(arguments.faces, "train", arguments.cache).chips[:LEARNED_FROM])
    faces = Photos(chips, [another_photo(chip, rng) for chip in chips])
    learning = Photos(others, [another_photo(chip, rng) for chip in others])
    matcher = Matcher()
    aligned = [[matcher.align(chip, FACE) for chip in photos] for photos in (faces.seen, faces.known)]
    known = [matcher.describe(*each) for each in zip(faces.known, aligned[1], strict=True)]
    rows = []
    for name, cells, method in settings():
        covered = faces.covered(method, cells)
        seen, again = (
            [matcher.describe(*each) for each in zip(photos, places, strict=True)]
            for photos, places in zip((covered.seen, covered.known), aligned, strict=True)
        )
        held = [held_pixels(photos) for photos in (covered.seen, covered.known)]
        whiten = whitening(learning.covered(method, cells))
        pairs = ((seen, known), (seen, again), held, [pixels @ whiten for pixels in held])
        rows.append([name, *(f"{right(*map(np.array, pair)):.0%}" for pair in pairs)])
        print(*rows[-1], flush=True)
    print(f"\n{len(chips)} people: by chance {1 / len(chips):.0%}\n")
    print(table(["mask, cells", "dlib, clear", "dlib, covered", "pixels", "learned"], rows))


def settings() -> Iterator[tuple[str, int, Method | None]]:
    """Every mask by its name: none at all, blur and mosaic of every strength, and solid."""
    yield "none", 0, None
    for method in (Method.BLUR, Method.MOSAIC):
        for cells in CELLS:
            yield f"{method.value}, {cells}", cells, method
    yield "solid", 1, Method.SOLID


def another_photo(chip: Pixels, rng: np.random.Generator) -> Pixels:
    """What stands for another photo of the face of a (112, 112, 3) chip."""
    move = cv2.getRotationMatrix2D((CHIP / 2, CHIP / 2), rng.normal(0, 5), np.exp(rng.normal(0, 0.05)))
    shift = np.array([[0, 0, x] for x in rng.normal(0, 0.03 * CHIP, 2)])
    moved = cv2.warpAffine(chip, move + shift, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)
    return degrade(moved.astype(np.uint8, copy=False), rng, often=0.1)


def held_pixels(chips: Sequence[Pixels]) -> NDArray[np.float64]:
    """(n, 576) of what is in the masks of `chips`, which are narrower than a chip, and taller."""
    return np.array([cv2.resize(chip[:, INSIDE], HELD, interpolation=cv2.INTER_AREA).ravel() for chip in chips], float)


def whitening(learning: Photos) -> NDArray[np.float64]:
    """(576, 576): what two photos of one face differ by has the same size in every direction after it."""
    differences = held_pixels(learning.seen) - held_pixels(learning.known)
    values, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    # Where photos of one face hardly differ, those of others do not either; of 1 to 10,000 this helped most.
    return np.asarray(vectors / np.sqrt(values + 1000))


def right(seen: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """The part of `seen` (n, d) to which the one of the same index is the nearest of `known` (n, d)."""
    distances = np.linalg.norm(seen[:, None] - known[None], axis=2)
    # Where several are as near he guesses: a mask that leaves nothing leaves all people alike.
    nearest = distances == distances.min(axis=1, keepdims=True)
    return float((np.diagonal(nearest) / nearest.sum(axis=1)).mean())


if __name__ == "__main__":
    main()
