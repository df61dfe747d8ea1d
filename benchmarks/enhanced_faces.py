"""Whether small faces are told better when they are enlarged first: `python -m benchmarks.enhanced_faces LABELLED`.

LABELLED is a folder of faces as `visage evaluate` takes it, such as the `faces` of `training.folders`. Each is shrunk
until its box is so many pixels high, and judged as it is and with `enhance_faces`, whatever its size.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import table
from visage.enhance import small_faces
from visage.evaluation.evaluation import Answer, judge
from visage.evaluation.labels import LabelledFace, LabelledPhoto, read_labels
from visage.evaluation.scores import Scores, score
from visage.faces.analyzer import Analyzer
from visage.images.decoding import Photo
from visage.nets.detector import Detections
from visage.packs.pack import find_pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--pack", default="compact", help="name or path of a pack with nets for faces")
    parser.add_argument("--superres-pack", default="compact", help="name or path of a pack that enlarges")
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument("--heights", type=int, nargs="+", default=(16, 24, 32, 40, 48), help="of the faces, in pixels")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photos = [photo for photo in read_labels(arguments.labelled).photos if len(photo.faces) == 1][: arguments.faces]
    pack = find_pack(arguments.pack)
    analyzer = Analyzer(pack, find_pack(arguments.superres_pack).enhance)
    small_faces.LONGEST_SIDE = max(arguments.heights) * 2
    rows: list[list[str]] = []
    for height in arguments.heights:
        small = [shrunk(photo, height) for photo in photos]
        for enhanced in (False, True):
            answers: list[Answer] = []
            for photo, face in small:
                found = Detections(np.array([face.box], np.float32), np.ones(1, np.float32))
                (answer,) = analyzer.describe(photo, found, enhanced=enhanced)
                answers.append(judge(face, photo, answer, pack))
            rows.append([f"{height} pixels{', enlarged' if enhanced else ''}", *figures(score(answers))])
    print(f"{len(photos)} faces\n")
    print(table(["height of the face", "gender right", "age group right", "within one group", "years off"], rows))


def shrunk(labelled: LabelledPhoto, height: int) -> tuple[Photo, LabelledFace]:
    """The photo at which its face is so many pixels high, and the face there."""
    (face,) = labelled.faces
    pixels = cv2.imread(str(labelled.path))
    if pixels is None:
        raise FileNotFoundError(labelled.path)
    scale = height / float(face.box[3] - face.box[1])
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    seen = np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2, np.float32)
    return Photo(small, *size, 1.0), replace(face, box=face.box * seen)


def figures(scores: Scores) -> Sequence[str]:
    parts = (scores.gender, scores.age, scores.within_one)
    return [*("" if part is None else f"{part:.1%}" for part in parts), f"{scores.years or 0:.2f}"]


if __name__ == "__main__":
    main()
