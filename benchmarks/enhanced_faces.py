"""Shows what `enhance_faces` gains on small faces: `python -m benchmarks.enhanced_faces LABELLED`.

LABELLED is a folder for `visage evaluate`, such as `faces` of `training.folders`. Each photo is reduced until its face
has a given height, and evaluated without and with `enhance_faces`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.support.report import table
from visage.enhance import small_faces
from visage.evaluation.evaluation import FaceResult, compare
from visage.evaluation.labels import LabelledFace, LabelledPhoto, read_labels
from visage.evaluation.scores import Scores, score
from visage.faces.analyzer import Analyzer
from visage.images.decoding import Photo
from visage.nets.detections import Detections
from visage.packs.pack import find_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--pack", default="compact", help="name or path of a pack that finds and describes faces")
    parser.add_argument("--superres-pack", default="compact", help="name or path of a pack that enhances")
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument(
        "--heights", type=int, nargs="+", default=(16, 24, 32, 40, 48), help="heights of the faces, in pixels"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photos = [photo for photo in read_labels(arguments.labelled).photos if len(photo.faces) == 1][: arguments.faces]
    pack = find_pack(arguments.pack)
    analyzer = Analyzer(pack, find_pack(arguments.superres_pack).enhance)
    small_faces.LONGEST_SIDE = max(arguments.heights) * 2
    rows: list[list[str]] = []
    for height in arguments.heights:
        small = [reduced(photo, height) for photo in photos]
        for enhanced in (False, True):
            results: list[FaceResult] = []
            for photo, face in small:
                ground_truth = Detections(np.array([face.box], np.float32), np.ones(1, np.float32))
                (predicted,) = analyzer.describe(photo, ground_truth, enhanced=enhanced)
                results.append(compare(face, photo, predicted, pack))
            rows.append([f"{height} pixels{', enhanced' if enhanced else ''}", *figures(score(results))])
    print(f"{len(photos)} faces\n")
    print(table(["face height", "gender correct", "age group correct", "within one group", "age error, years"], rows))


def reduced(labelled: LabelledPhoto, height: int) -> tuple[Photo, LabelledFace]:
    """The photo, reduced until its face is `height` pixels high, and the face in it."""
    (face,) = labelled.faces
    pixels = cv2.imread(str(labelled.path))
    if pixels is None:
        raise FileNotFoundError(labelled.path)
    scale = height / face.height
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    scales = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2, np.float32)
    return Photo(small, *size, 1.0), replace(face, box=face.box * scales)


def figures(scores: Scores) -> Sequence[str]:
    fractions = (scores.gender, scores.age_group, scores.within_one_group)
    return [*("" if each is None else f"{each:.1%}" for each in fractions), f"{scores.age_error or 0:.2f}"]


if __name__ == "__main__":
    main()
